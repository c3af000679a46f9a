"""Slack's published types as an oracle, where they lie beside the repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PLACE = Path(__file__).parents[3] / "shared" / "oracles" / "slack_oracle.py"
_loaded: list[ModuleType] = []

needs_oracle = pytest.mark.skipif(
    not PLACE.exists(), reason="Slack's published types are not beside this repository"
)


def faults_of_blocks(surface: str, blocks: list[dict[str, Any]]) -> list[str]:
    found: list[str] = _oracle().check_blocks(surface, blocks)
    return found


def faults_of_call(method: str, arguments: dict[str, Any]) -> list[str]:
    found: list[str] = _oracle().check_call(method, arguments)
    return found


def _oracle() -> ModuleType:
    if not _loaded:
        spec = importlib.util.spec_from_file_location("slack_oracle", PLACE)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _loaded.append(module)
    return _loaded[0]
