"""Frozen dataclasses to JSON columns and back, by their types."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


class Codec(Generic[T]):
    """Writes and reads one type. What is read is checked against the type."""

    def __init__(self, type_: type[T]) -> None:
        self._adapter = TypeAdapter(type_)

    def dump(self, value: T) -> str:
        """Return the JSON text of a value."""
        return self._adapter.dump_json(value).decode()

    def load(self, text: str) -> T:
        """Return the value of a JSON text."""
        return self._adapter.validate_json(text)
