"""Every action there is: of the plugins that are enabled, and of those that could be.

Pages are checked against all of them. Whether an installation enables a page's
plugin is its own affair, and `tocsin check` tells it.
"""

from __future__ import annotations

import importlib
import pkgutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.installation import fail, read_settings, without_tokens

if TYPE_CHECKING:
    from bot.domain.actions import Action
    from bot.loader import Found
    from bot.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Offered:
    """Actions by reference, which plugin offers each, and which plugins could not be asked."""

    actions: Mapping[str, Action] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    silent: Sequence[str] = ()


def offered(config: Path | None) -> Offered:
    """Return every action, or say what is wrong with the settings and end with 2."""
    from bot.domain.errors import TocsinError  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    settings = without_tokens(read_settings(config))
    try:
        return _asked(settings)
    except SettingsError as error:
        fail("\n".join(f"config: {problem}" for problem in error.problems), 2)
    except TocsinError as error:
        fail(str(error), 2)


def _asked(settings: Settings) -> Offered:
    """Make each plugin in an empty house: nothing is started, and no page is read."""
    from bot.foundation import SystemClock, lay  # noqa: PLC0415
    from bot.loader import make  # noqa: PLC0415

    silent: list[str] = []
    actions: dict[str, Action] = {}
    plugins: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
        core = lay(_empty(Path(folder)), SystemClock())
        found = [item for name in _names(settings) for item in _found(name, settings, silent)]
        for plugin in make(found, core.context):
            for action in plugin.actions():
                actions.setdefault(action.reference, action)
                plugins.setdefault(action.reference, plugin.name)
    return Offered(actions=actions, plugins=plugins, silent=silent)


def _empty(folder: Path) -> Settings:
    """Return the settings of an empty house, so that no key or database of ours is asked for."""
    (folder / "knowledge").mkdir()
    config = folder / "config.toml"
    config.write_text('[bot]\ndata = "data"\nknowledge = "knowledge"\n', encoding="utf-8")
    return without_tokens(read_settings(config))


def _names(settings: Settings) -> Sequence[str]:
    """Return the enabled plugins first, then those that lie beside them."""
    try:
        beside = [m.name for m in pkgutil.iter_modules(importlib.import_module("plugins").__path__)]
    except ModuleNotFoundError:  # pragma: no cover  # an installation without any of ours
        beside = []
    return list(dict.fromkeys([*settings.bot.plugins, *sorted(beside)]))


def _found(name: str, settings: Settings, silent: list[str]) -> Sequence[Found]:
    """Find one plugin; one that is not enabled and wants settings is passed over, and said so."""
    from bot.loader import find  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    given = {name: settings.plugins[name]} if name in settings.plugins else {}
    try:
        return find([name], given, {})
    except SettingsError as error:
        if name in settings.bot.plugins:
            raise
        silent.append(f"{name}: {'; '.join(error.problems)}")
        return ()
