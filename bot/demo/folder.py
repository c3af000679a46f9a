"""The demo's own folder: emptied at every start, and never anybody else's."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.demo.processes import NotStarted

MARK = ".tocsin-demo"


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Make or empty a folder, and hold it for one demo until the end.

    Only a folder that a demo made is emptied: a mistyped name must not cost
    anybody their files. The lock goes with the process, however that ends.

    Raises:
        NotStarted: the folder holds other files, or another demo runs in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / MARK
    if not mark.exists() and any(directory.iterdir()):
        raise NotStarted(f"{directory}: has files that are not a demo's; name another folder")
    with mark.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotStarted(f"{directory}: a demo runs there already") from None
        _empty(directory, mark)
        yield


def _empty(directory: Path, mark: Path) -> None:
    for path in directory.iterdir():
        if path == mark:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
