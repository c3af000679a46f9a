"""Patches, their reverse and their differences, for whatever objects there are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.pointers import found
from plugins.kubernetes.objects import (
    HIDDEN,
    between,
    contains,
    diff,
    digest,
    hide,
    merged,
    quantity,
    reverse,
    secrets_in,
    touched,
)
from plugins.kubernetes.plugin import KubernetesSettings
from plugins.kubernetes.scope import Scope
from tests.kubernetes.merging import merge

KEYS = st.sampled_from(("a", "b", "c", "d/e"))
LEAVES = st.booleans() | st.integers(-3, 3) | st.sampled_from(("", "x", "1Gi"))


def documents(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects without nulls, as the server keeps them."""
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(KEYS, values, max_size=4)


def patches() -> st.SearchStrategy[dict[str, Any]]:
    """Return merge patches: nulls anywhere but in lists."""
    lists = st.lists(LEAVES | documents(LEAVES), max_size=2)
    values = st.recursive(
        LEAVES | st.none() | lists,
        lambda inner: st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(KEYS, values, max_size=4)


@given(documents(LEAVES), patches())
def test_a_patch_is_applied_as_the_server_applies_it(live: Any, patch: Any) -> None:
    assert merged(live, patch) == merge(live, patch)


@given(documents(LEAVES), patches())
def test_the_reverse_takes_a_patch_back(live: Any, patch: Any) -> None:
    assert merge(merge(live, patch), reverse(live, patch)) == live


@given(documents(LEAVES), documents(LEAVES))
def test_there_is_a_patch_between_any_two_objects(one: Any, other: Any) -> None:
    assert merge(one, between(one, other)) == other
    assert between(one, one) == {}


@given(documents(LEAVES), patches())
def test_an_applied_patch_is_recognised(live: Any, patch: Any) -> None:
    assert contains(merge(live, patch), patch)


@given(documents(LEAVES), patches())
def test_whatever_a_patch_changes_shows_in_the_part_it_touches(live: Any, patch: Any) -> None:
    after = merge(live, patch)
    if touched(live, patch) == touched(after, patch):
        assert _bare(after) == _bare(live)


def _bare(part: Any) -> Any:
    """Return a part without empty maps, which say nothing."""
    if not isinstance(part, dict):
        return part
    bare = {key: _bare(value) for key, value in part.items()}
    return {key: value for key, value in bare.items() if value != {}}


@given(documents(LEAVES), documents(LEAVES))
def test_the_digest_tells_objects_apart(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _sorted(part[key]) for key in sorted(part)}
    return [_sorted(item) for item in part] if isinstance(part, list) else part


@pytest.mark.parametrize(
    ("text", "number"),
    (
        ("250m", "0.25"),
        ("1Gi", "1073741824"),
        ("1e3", "1000"),
        ("12345n", "0.000012345"),
        ("7u", "0.000007"),
        ("2", "2"),
        ("0.5", "0.5"),
    ),
)
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


@given(st.text(max_size=60))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    number = quantity(text)
    assert number is None or number.is_finite()


@pytest.mark.parametrize(
    ("pointer", "there"),
    (
        ("/a/b~1c/1", 5),
        ("/a/b~1c/2", None),
        ("/a/b~1c/-1", None),
        ("/a/b~1c/+1", None),
        ("/a/x", None),
        ("/a/b~1c/0/y", None),
        ("/t~0", 7),
    ),
)
def test_a_pointer_leads_to_one_place(pointer: str, there: int | None) -> None:
    document = {"a": {"b/c": [4, 5]}, "t~": 7}
    assert found(document, pointer) == (there is not None, there)


@pytest.mark.parametrize(
    "document",
    (
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]},
        {"env": [{"name": "STRIPE_API_KEY", "value": "hunter2"}]},
        {"env": [{"name": "APP_DSN", "value": "hunter2"}]},
        {"env": [{"name": "BASIC_AUTH", "value": "hunter2"}]},
        {"data": {"redis-password": "hunter2"}},
        {"data": {"secret": "hunter2"}},
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
        {"spec": {"accessKey": "hunter2"}},
    ),
)
def test_what_looks_secret_is_never_shown(document: Any) -> None:
    assert "hunter2" not in str(hide(document))
    assert HIDDEN in str(hide(document))
    assert list(secrets_in(document))
    assert "hunter2" not in "".join(secrets_in(document))
    assert "hunter2" not in diff({}, document)


@pytest.mark.parametrize(
    "document",
    (
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db"}}}]},
        {"spec": {"automountServiceAccountToken": False, "tokenExpirationSeconds": 600}},
        {"volumes": [{"name": "tls", "secret": {"secretName": "tls"}}]},
        {"metadata": {"labels": {"author": "x", "compass": "y"}}},
        {"env": [{"name": "MODE", "value": "live"}]},
    ),
)
def test_what_only_names_a_secret_is_shown(document: Any) -> None:
    assert hide(document) == document
    assert list(secrets_in(document)) == []


def test_nothing_is_allowed_unless_it_is_listed() -> None:
    bare = KubernetesSettings()
    assert (bare.namespaces, bare.nodes, bare.kinds, bare.config_maps) == ((), (), (), ())
    assert Scope() == Scope(namespaces=(), nodes=(), kinds=(), config_maps=())


@pytest.mark.parametrize(
    "given",
    (
        {"kinds": ["Secret"]},
        {"kinds": ["deployment"]},
        {"config_maps": ["limits"]},
        {"config_maps": ["shop/a/b"]},
        {"least_replicas": 5, "most_replicas": 4},
        {"timeout": 0},
        {"token": "x"},
    ),
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KubernetesSettings(**given)
