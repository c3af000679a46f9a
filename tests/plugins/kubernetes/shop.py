"""The plugin's actions on the shop, as a person who plans and runs would meet them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bot.domain.actions import Action, ActionCall, ActionResult, Arguments, DryRun, Reconciliation
from bot.services.registry import Registry, check_arguments
from plugins.kubernetes.changing import Access
from plugins.kubernetes.clusters import Cluster
from plugins.kubernetes.plugin import KubernetesSettings, offered
from plugins.kubernetes.scope import Scope
from tests.fakes import FakeClock
from tests.kubernetes.controllers import Controllers
from tests.kubernetes.samples import pods
from tests.kubernetes.server import ApiServer
from tests.kubernetes.shapes import BY_KIND, Object

CHECKOUT = {"kind": "Deployment", "namespace": "shop", "name": "checkout"}
SHOP = {"namespace": "shop", "name": "checkout"}
NOTHING = ActionResult(summary="")  # what is known of a result after a crash
COUNTER = count(1)


def cluster_actions(
    kubeconfig: Path | None, **given: Any
) -> tuple[KubernetesSettings, dict[str, Action]]:
    """Offer the actions with the settings of the tests."""
    settings = KubernetesSettings(
        **{
            "kubeconfig": kubeconfig,
            "namespaces": ("shop",),
            "nodes": ("worker-*",),
            "kinds": ("Deployment", "ConfigMap", "Node"),
            "config_maps": ("shop/limits",),
            **given,
        }
    )
    access = Access(
        cluster=Cluster(settings.kubeconfig, settings.context),
        scope=Scope(
            namespaces=settings.namespaces,
            nodes=settings.nodes,
            kinds=settings.kinds,
            config_maps=settings.config_maps,
        ),
        timeout=settings.timeout,
        now=FakeClock().now,
    )
    return settings, {action.reference: action for action in offered(access, settings)}


@dataclass(kw_only=True)
class Shop:
    """The cluster with its controllers, and what can be done to it. `printed` are output lines."""

    server: ApiServer
    controllers: Controllers
    actions: dict[str, Action]
    kubeconfig: Path = Path("/nonexistent")
    printed: list[str] = field(default_factory=list)

    async def do(self, uses: str, /, *, key: str = "run-1:step", **arguments: Any) -> ActionResult:
        """Call an action as the gate does."""
        action = self._checked(uses, arguments)
        return await action.handler(self._call(key, arguments))

    async def plan(self, uses: str, /, **arguments: Any) -> tuple[DryRun, dict[str, Any]]:
        """Return the dry run of an action, and the arguments that the plan freezes."""
        action = self._checked(uses, arguments)
        assert action.dry_run is not None
        seen = await action.dry_run(self._call("", arguments))
        return seen, {**arguments, **seen.pinned}

    async def find(
        self, uses: str, /, *, key: str = "run-1:step", **arguments: Any
    ) -> Reconciliation:
        """Look whether an action has taken effect."""
        reconcile = self._checked(uses, arguments).reconcile
        assert reconcile is not None
        return await reconcile(self._call(key, arguments))

    async def take_back(self, uses: str, result: ActionResult, /, **arguments: Any) -> bool:
        """Do what undoes an action; say whether there is such a thing."""
        action = self._checked(uses, arguments)
        assert action.undo is not None
        undo = action.undo(self._call("run-1:step", arguments), result)
        if undo is None:
            return False
        await self.do(undo.uses.split("@")[0], key="run-1:undo", **undo.arguments)
        return True

    def get(self, kind: str, name: str, namespace: str = "shop") -> Object:
        """Return an object as it is now."""
        return self.server.store.get(BY_KIND[kind], namespace, name)

    def change(
        self, kind: str, name: str, build: Callable[[Object], Any], *, namespace: str = "shop"
    ) -> None:
        """Change an object behind the assistant's back; `build` may change it in place."""

        def built(live: Object) -> Any:
            made = build(live)
            return live if made is None else made

        self.server.store.update(BY_KIND[kind], namespace, name, built)

    def images(self) -> list[str]:
        """Return the images that the checkout's pods run."""
        return sorted(
            pod["spec"]["containers"][0]["image"] for pod in pods(self.server, "checkout")
        )

    def _checked(self, uses: str, arguments: Arguments) -> Action:
        action = self.actions[f"{uses}@1"]
        Registry([action])
        check_arguments(action, arguments)
        return action

    def _call(self, key: str, arguments: Arguments) -> ActionCall:
        return ActionCall(
            key=key,
            arguments=arguments,
            timeout=10,
            report=lambda output: self.printed.append(output.line),
        )


def uids(shop: Shop, app: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(shop.server, app)}


def busy(shop: Shop) -> None:
    """Change the status alone, as happens all the time."""
    number = next(COUNTER)

    def build(live: Object) -> Object:
        return {**live, "status": {**live["status"], "collisionCount": number}}

    shop.server.store.update(BY_KIND["Deployment"], "shop", "checkout", build, status=True)


def image(name: str) -> Callable[[Object], None]:
    def change(live: Object) -> None:
        live["spec"]["template"]["spec"]["containers"][0]["image"] = name

    return change


def replicas(number: int) -> Callable[[Object], None]:
    def change(live: Object) -> None:
        live["spec"]["replicas"] = number

    return change
