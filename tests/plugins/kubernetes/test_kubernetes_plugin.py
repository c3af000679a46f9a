"""What the plugin offers, and with which settings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.domain.actions import ActionCall, ActionFailed, Effect, Risk
from bot.plugin import PluginContext
from bot.services.registry import Registry
from plugins.kubernetes import PLUGIN
from plugins.kubernetes.plugin import KubernetesSettings
from tests.fakes import FakeClock
from tests.plugins.kubernetes.shop import CHECKOUT, Shop

READS = {"get", "events", "logs", "top", "rollout"}
CHANGES = {
    "restart": Risk.R2,
    "scale": Risk.R2,
    "rollback": Risk.R2,
    "cordon": Risk.R1,
    "uncordon": Risk.R1,
    "delete_pod": Risk.R1,
    "patch": Risk.R3,
}


def registry(settings: KubernetesSettings) -> Registry:
    context = cast(PluginContext, SimpleNamespace(clock=FakeClock()))
    return Registry(PLUGIN(settings, context).actions())


def test_every_change_has_a_risk_a_rehearsal_and_a_look_afterwards() -> None:
    offered = registry(KubernetesSettings()).actions
    assert set(offered) == {f"kubernetes.{name}@1" for name in (*READS, *CHANGES)}
    for name, risk in CHANGES.items():
        action = offered[f"kubernetes.{name}@1"]
        assert (action.effect, action.risk) == (Effect.MUTATE, risk)
        assert action.dry_run is not None
        assert action.reconcile is not None
    for name in READS:
        assert offered[f"kubernetes.{name}@1"].effect is Effect.READ


async def test_the_plugin_reaches_the_cluster_of_its_settings_and_only_what_is_listed(
    shop: Shop,
) -> None:
    file = Path(shop.kubeconfig)
    call = ActionCall(key="", arguments={**CHECKOUT, "pointer": "/spec/replicas"}, timeout=5)
    listed = registry(KubernetesSettings(kubeconfig=file, namespaces=("shop",)))
    assert (await listed.get("kubernetes.get@1").handler(call)).value == 3
    bare = registry(KubernetesSettings(kubeconfig=file))
    with pytest.raises(ActionFailed, match=r"shop is not in plugins\.kubernetes\.namespaces"):
        await bare.get("kubernetes.get@1").handler(call)
