"""The plugin: the settings that say which cluster, and what of it may be touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings
from plugins.kubernetes.changing import Access
from plugins.kubernetes.clusters import Cluster
from plugins.kubernetes.kinds import KINDS
from plugins.kubernetes.looking import Looking
from plugins.kubernetes.nodes import Nodes
from plugins.kubernetes.patching import Patches
from plugins.kubernetes.pods import Pods
from plugins.kubernetes.restarts import Restarts
from plugins.kubernetes.rollbacks import Rollbacks
from plugins.kubernetes.scaling import Scaling
from plugins.kubernetes.scope import Scope


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f'"{kind}" is not one of {", ".join(sorted(KINDS))}')
    return kind


def _placed(name: str) -> str:
    namespace, slash, rest = name.partition("/")
    if not (namespace and slash and rest) or "/" in rest:
        raise ValueError(f'"{name}" should be a namespace and a name: shop/settings')
    return name


class KubernetesSettings(PluginSettings):
    """Which cluster, and what of it may be touched: nothing that is not listed.

    Without `kubeconfig` it is the cluster that the assistant runs in, by its
    service account; `context` is the file's own unless given. `namespaces` are
    exact, `nodes` patterns (`worker-*`). `kinds` may be patched, `config_maps`
    (`namespace/name`) read. Scaling stays between `least_replicas` and
    `most_replicas`. `timeout` is in seconds. What the assistant's own role in
    the cluster does not allow, no setting here allows.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    kinds: tuple[Annotated[str, AfterValidator(_known)], ...] = ()
    config_maps: tuple[Annotated[str, AfterValidator(_placed)], ...] = ()
    least_replicas: int = Field(default=1, ge=0)
    most_replicas: int = Field(default=50, ge=1)
    timeout: float = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least_replicas > self.most_replicas:
            raise ValueError("least_replicas is above most_replicas")
        return self


class Kubernetes(Plugin[KubernetesSettings]):
    """Offers looking at a cluster, and changing it."""

    name: ClassVar[str] = "kubernetes"
    Settings: ClassVar[type[PluginSettings]] = KubernetesSettings

    @override
    def actions(self) -> Sequence[Action]:
        settings = self.settings
        access = Access(
            cluster=Cluster(settings.kubeconfig, settings.context),
            scope=Scope(
                namespaces=settings.namespaces,
                nodes=settings.nodes,
                kinds=settings.kinds,
                config_maps=settings.config_maps,
            ),
            timeout=settings.timeout,
            now=self.context.clock.now,
        )
        return offered(access, settings)


def offered(access: Access, settings: KubernetesSettings) -> Sequence[Action]:
    """Return all actions on a cluster."""
    scaling = Scaling(access, least=settings.least_replicas, most=settings.most_replicas)
    looking, restarts, rollbacks = Looking(access), Restarts(access), Rollbacks(access)
    rest = (Nodes(access), Pods(access), Patches(access))
    return [a for part in (looking, restarts, scaling, rollbacks, *rest) for a in part.all()]
