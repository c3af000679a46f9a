"""What an attacker does to a bundle: take it apart, change it, and make it look whole again."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import rfc8785

from bot.domain.notes import VerifierKey
from bot.ledger.audits import verify_bundle
from bot.ledger.findings import Audit
from bot.ledger.signing import verify_ed25519

Files = dict[str, bytes]
Change = Callable[[Files], None]


def unpacked(bundle: Path) -> Files:
    """Return the files of a bundle by name."""
    with tarfile.open(bundle) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def manifest_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a bundle's manifest says."""
    plain: dict[str, Any] = json.loads(files["manifest.json"])
    return plain


def put(files: Files, **changes: Any) -> None:
    """Write a manifest that fits the files, as an attacker would."""
    plain = manifest_of(files) | changes
    plain["files"] = {n: sha256(d).hexdigest() for n, d in files.items() if n != "manifest.json"}
    files["manifest.json"] = rfc8785.dumps(plain)


def packed(files: Mapping[str, bytes], path: Path) -> Path:
    """Write files as a bundle, without waiting for the disk."""
    with tarfile.open(path, mode="w:") as tar:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def laid_out(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write files as an unpacked bundle."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def audited(path: Path, *keys: VerifierKey, **options: Any) -> Audit:
    """Verify a bundle."""
    return verify_bundle(path, keys=keys, verify=verify_ed25519, **options)


def without(files: Files, index: int, *, why: str = "") -> None:
    """Remove an entry from a bundle with all its traces."""
    for name in (f"leaves/{index}", f"bodies/{index}", f"proofs/{index}.tlog-proof"):
        files.pop(name, None)
    entries = [seq for seq in manifest_of(files)["entries"] if seq != index]
    put(files, entries=entries)


def moved(files: Files, one: int, other: int) -> None:
    """Exchange two entries with everything that belongs to them."""
    for name in ("leaves/{}", "bodies/{}", "proofs/{}.tlog-proof"):
        a, b = name.format(one), name.format(other)
        files[a], files[b] = files[b], files[a]
    put(files)


def sizes_in(files: Mapping[str, bytes]) -> list[int]:
    """Return the sizes of the checkpoints in a bundle."""
    return sorted(int(n.split("/")[1]) for n in files if n.startswith("checkpoints/"))


def cut(files: Files, size: int) -> None:
    """Cut a bundle off at an older checkpoint, with proofs that lead to it, and without a trace."""
    from bot.domain.checkpoints import LogProof
    from bot.domain.merkle import inclusion_proof
    from bot.ledger.selecting import Tree

    tree = Tree()
    for index in range(size):
        tree.append(files[f"leaves/{index}"])
    for name in [n for n in files if _beyond(n, size)]:
        del files[name]
    note = files[f"checkpoints/{size}"]
    for index in range(size):
        hashes = inclusion_proof(index, size, node=tree.node)
        proof = LogProof(index=index, hashes=hashes, checkpoint=note)
        files[f"proofs/{index}.tlog-proof"] = proof.write()
    lists = {w: [i for i in manifest_of(files)[w] if i < size] for w in ("erased", "redacted")}
    put(files, size=size, entries=list(range(size)), **lists)


def _beyond(name: str, size: int) -> bool:
    folder, _, rest = name.partition("/")
    if folder in ("leaves", "bodies", "proofs"):
        return int(rest.split(".")[0]) >= size
    if folder == "checkpoints":
        return int(rest) > size
    if folder == "consistency":
        return int(rest.split("-")[1]) > size
    return False


def names(files: Collection[str], prefix: str) -> list[str]:
    """Return the names that begin with something."""
    return sorted(name for name in files if name.startswith(prefix))
