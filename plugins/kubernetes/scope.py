"""The allow-list: which objects may be looked at, and which may be changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.domain.actions import ActionFailed
from plugins.kubernetes.kinds import KINDS, Kind

# RFC 1123 as the API server checks it: no slash, no dot at the ends, no two dots together.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One object, by its kind, namespace (empty for a node) and name."""

    kind: Kind
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """Name the object for people."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.name} {where}{self.name}"

    @property
    def path(self) -> str:
        """Return the object's path below the server's root."""
        return f"{self.folder}/{self.name}"

    @property
    def folder(self) -> str:
        """Return the path of all objects of its kind in its namespace."""
        where = f"/namespaces/{self.namespace}" if self.kind.namespaced else ""
        return f"{self.kind.api}{where}/{self.kind.plural}"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What may be touched: nothing that is not listed.

    `nodes` are patterns (`worker-*`), because machines come and go. `kinds` may
    be patched. `config_maps` (`namespace/name`) may be read, and patched where
    the kind is listed too: a ConfigMap often holds what should be a Secret.
    """

    namespaces: Sequence[str] = ()
    nodes: Sequence[str] = ()
    kinds: Sequence[str] = ()
    config_maps: Sequence[str] = ()

    def object(self, kind: str, namespace: str | None, name: str) -> Target:
        """Return an object of a listed namespace, or a listed node.

        Raises:
            ActionFailed: it may not be touched, or there is no such kind here.
        """
        known = KINDS.get(kind)
        if known is None:
            raise ActionFailed(f"objects of the kind {kind} are never touched by runbooks")
        if not known.namespaced:
            return self.node(name)
        if namespace is None:
            raise ActionFailed(f"a {kind} needs its namespace")
        self.check_namespace(namespace)
        target = Target(kind=known, namespace=namespace, name=_named(name))
        if kind == "ConfigMap" and f"{namespace}/{name}" not in self.config_maps:
            raise ActionFailed(f"{target.shown} is not in plugins.kubernetes.config_maps")
        return target

    def node(self, name: str) -> Target:
        """Return a listed node.

        Raises:
            ActionFailed: it is not listed.
        """
        if not any(fnmatchcase(_named(name), pattern) for pattern in self.nodes):
            raise ActionFailed(f"node {name} is not in plugins.kubernetes.nodes")
        return Target(kind=KINDS["Node"], namespace="", name=name)

    def patchable(self, kind: str, namespace: str | None, name: str) -> Target:
        """Return an object that may be patched.

        Raises:
            ActionFailed: it may not.
        """
        if kind not in self.kinds:
            raise ActionFailed(f"the kind {kind} is not in plugins.kubernetes.kinds")
        return self.object(kind, namespace, name)

    def check_namespace(self, namespace: str) -> None:
        """Refuse a namespace that is not listed.

        Raises:
            ActionFailed: it is not.
        """
        if _named(namespace) not in self.namespaces:
            raise ActionFailed(f"namespace {namespace} is not in plugins.kubernetes.namespaces")


def _named(name: str) -> str:
    """Refuse what is no name: it becomes a part of a path."""
    if _NAME.fullmatch(name) is None:
        raise ActionFailed(f"{name[:80]!r} is not the name of a Kubernetes object")
    return name
