"""Whatever can be set, typed, pressed or run is named in the pages that people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel, SecretStr

from bot.cli import cli
from bot.loader import Offers, collect, find, make
from bot.settings import DEFAULT_PLUGINS, Settings
from tests.stage import stage_in

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "config.toml", "plugins/README.md", "knowledge/README.md")
PLUGINS = (
    *DEFAULT_PLUGINS,
    "demo",
    "ssh",
    "systemd",
    "kubernetes",
    "postgres",
    "redis",
    "feature_flag",
)


def page(name: str) -> str:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def everything() -> str:
    return "\n".join(page(name) for name in PAGES)


@pytest.fixture
async def offers(tmp_path: Path) -> Offers:
    found = find(PLUGINS, {"demo": {"token": "t"}}, {})
    async with stage_in(tmp_path) as stage:
        return collect(make(found, stage.context))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, bool]]:
    """Return each setting: its section, its name, and whether it is a secret."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        secret = SecretStr in (kind, *getattr(kind, "__args__", ()))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, f"{prefix}{name}.")
        elif prefix:
            yield prefix.rstrip("."), name, secret


def section_of(text: str, name: str) -> str:
    """Return what a TOML page says under a section, commented out or not."""
    found = re.search(
        rf"^#?\s*\[{re.escape(name)}\]$(.*?)(?=^#?\s*\[[\w.]+\]$|\Z)", text, re.M | re.S
    )
    return found[1] if found else ""


def told(section: str, name: str, *, secret: bool) -> bool:
    if secret:
        return f"TOCSIN_{section}__{name}".upper().replace(".", "__") in everything()
    stands = re.search(rf"^#?\s*{name}\s*=", section_of(page("config.toml"), section), re.M)
    return stands is not None


def commands(app: typer.Typer, prefix: str = "tocsin") -> Iterator[str]:
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        yield f"{prefix} {name}"
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{prefix} {group.name}")


def missing(names: Iterator[str] | list[str]) -> str:
    text = everything()
    return "\n".join(sorted(name for name in names if name not in text))


def test_every_setting_is_in_the_manual_of_settings() -> None:
    silent = [f"{s}.{n}" for s, n, secret in fields(Settings) if not told(s, n, secret=secret)]
    assert "\n".join(silent) == ""


def test_every_setting_of_a_plugin_is_in_the_manual_of_settings() -> None:
    silent = [
        f"plugins.{item.name}.{name}"
        for item in find(PLUGINS, {}, {})
        for name, field in item.plugin.Settings.model_fields.items()
        if not told(f"plugins.{item.name}", name, secret=_secret(field))
    ]
    assert "\n".join(silent) == ""


def _secret(field: Any) -> bool:
    return SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))


def test_every_command_of_the_command_line_is_named() -> None:
    assert missing(commands(cli)) == ""


def test_every_slash_command_is_named(offers: Offers) -> None:
    assert missing([f"{c.root} {c.verb}" for c in offers.commands]) == ""


def test_every_action_is_named(offers: Offers) -> None:
    assert missing([action.reference for action in offers.actions]) == ""


def test_every_plugin_is_named() -> None:
    text = page("plugins/README.md")
    assert [name for name in PLUGINS if f"`{name}`" not in text] == []
