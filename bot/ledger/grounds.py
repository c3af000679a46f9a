"""What decisions stood on, as a bundle holds it: their records, the policies, the calendars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

from bot.domain.canonical import digest
from bot.domain.notes import BadNote, VerifierKey
from bot.ledger.bundle_files import KEYS, BundleFiles, unquoted
from bot.ledger.chains import Trust
from bot.ledger.findings import Finding, tampered

_POLICIES, _CALENDARS = "policies/", "policies/calendars/"


def decisions_in(files: BundleFiles) -> dict[str, bytes]:
    """Return the records of decisions by their ids."""
    names = [name for name in files.names if name.startswith("decisions/")]
    return {_id(name): files.read(name) for name in names}


def calendars_in(files: BundleFiles) -> dict[str, dict[str, bytes]]:
    """Return the calendars by their common digest and their names."""
    return _folders(files, _CALENDARS)


def check_grounds(files: BundleFiles) -> Iterator[Finding]:
    """Hold policies and calendars against the digests they are filed under."""
    kinds: tuple[tuple[str, Callable[[Mapping[str, bytes]], str]], ...] = (
        (_POLICIES, _policy_digest),
        (_CALENDARS, _calendars_digest),
    )
    for prefix, reckoned in kinds:
        for filed, found in _folders(files, prefix).items():
            if reckoned(found) != filed:
                yield tampered(None, f"{prefix}{filed}", "its files have not this digest")


def check_keys(files: BundleFiles, trust: Trust, notes: list[str]) -> Iterator[Finding]:
    """Note which keys the bundle names that were not trusted; nobody believes it in this."""
    if KEYS not in files.names:
        return
    for line in files.read(KEYS).decode(errors="replace").split("\n")[:-1]:
        try:
            key = VerifierKey.parse(line)
        except BadNote as error:
            yield tampered(None, KEYS, str(error))
            continue
        if not trust.knows(key):
            notes.append(f"{KEYS}: {line} is named in the bundle, and was not used")


def _id(name: str) -> str:
    return _name(name.removeprefix("decisions/").removesuffix(".json"))


def _folders(files: BundleFiles, prefix: str) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name in files.names:
        parts = name.removeprefix(prefix).split("/")
        if name.startswith(prefix) and len(parts) == 2:
            folder, file = map(_name, parts)
            found.setdefault(folder, {})[file] = files.read(name)
    return found


def _name(part: str) -> str:
    """Return the name behind a part of a path; one that is written wrongly stands for itself."""
    try:
        return unquoted(part)
    except ValueError:
        return part


def _policy_digest(files: Mapping[str, bytes]) -> str:
    """Return what identifies policies: as `bot.policies` reckons it."""
    return digest({name: sha256(content).hexdigest() for name, content in files.items()})


def _calendars_digest(files: Mapping[str, bytes]) -> str:
    """Return what identifies calendars: as `bot.calendars` reckons it."""
    reckoned = sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode(), content):
            reckoned.update(len(part).to_bytes(8, "big") + part)
    return reckoned.hexdigest()
