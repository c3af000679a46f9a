"""Suites that every implementation of a contract has to pass."""

import pytest

pytest.register_assert_rewrite("tests.contracts.actions")
