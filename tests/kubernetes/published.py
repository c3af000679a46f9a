"""The published OpenAPI of Kubernetes 1.37, as far as the double answers by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FILE = Path(__file__).with_name("openapi-1.37.json")


def faults(answer: Mapping[str, Any]) -> list[str]:
    """Return how an answer differs from what is published for its kind; unknown fields differ."""
    kind = f"{answer['apiVersion']} {answer['kind']}"
    return [
        f"{kind} at {error.json_path}: {error.message}"
        for error in _validator(kind).iter_errors(dict(answer))
    ]


@cache
def _published() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FILE.read_text())
    return content


@cache
def _validator(kind: str) -> Draft202012Validator:
    published = _published()
    root = published["roots"][kind]  # a kind that is not there is not published
    schema = {"$ref": f"#/$defs/{root}", "$defs": published["$defs"]}
    return Draft202012Validator(schema)
