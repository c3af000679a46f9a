"""Find plugins, validate their settings, refuse clashes: all before anything starts."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bot.domain.actions import Action
from bot.plugin import (
    Command,
    Interaction,
    Job,
    Page,
    Plugin,
    PluginContext,
    PluginSettings,
    Webhook,
)
from bot.settings import SettingsError, explain, secrets_in

ENTRY_POINTS = "tocsin.plugins"

AnyPlugin = Plugin[Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A plugin class with its validated settings, not yet made."""

    name: str
    plugin: type[AnyPlugin]
    settings: PluginSettings


@dataclass(frozen=True, kw_only=True)
class Offers:
    """Everything the enabled plugins offer, without clashes."""

    commands: Sequence[Command]
    interactions: Mapping[str, Interaction]
    actions: Sequence[Action]
    jobs: Sequence[tuple[str, Job]]
    webhooks: Mapping[str, Webhook]
    pages: Mapping[str, Sequence[Page]]
    templates: Mapping[str, Path]


def find(
    names: Sequence[str], given: Mapping[str, Mapping[str, Any]], file: Mapping[str, Any]
) -> Sequence[Found]:
    """Find the enabled plugins, in their order, with their settings.

    `given` are all plugins' settings, `file` only what config.toml says.

    Raises:
        SettingsError: a plugin does not exist, is named twice, or its settings
            are wrong; every problem at once.
    """
    problems: list[str] = []
    found: list[Found] = []
    for name in names:
        try:
            found.append(_find(name, given.get(name, {}), file.get(name, {})))
        except SettingsError as error:
            problems += error.problems
    twice = {name for name in names if names.count(name) > 1}
    problems += [f"bot.plugins: {name} is named twice" for name in sorted(twice)]
    problems += [
        f"plugins.{name}: this plugin is not enabled in bot.plugins"
        for name in given
        if name not in names
    ]
    if problems:
        raise SettingsError(problems)
    return found


def _find(name: str, given: Mapping[str, Any], file: Mapping[str, Any]) -> Found:
    plugin = _class(name)
    prefix = f"plugins.{name}."
    if leaked := list(secrets_in(plugin.Settings, file, prefix)):
        raise SettingsError(
            [
                f"{key}: is a secret; give it in the environment, not in config.toml"
                for key in leaked
            ]
        )
    try:
        decoded = {key: _decoded(value) for key, value in given.items()}
        return Found(name=name, plugin=plugin, settings=plugin.Settings(**decoded))
    except ValidationError as error:
        raise SettingsError(explain(error, prefix)) from None


def _decoded(value: Any) -> Any:
    """Return a table or list that a variable of the environment holds as JSON.

    Whatever else looks like one stays the text that it is: the settings of the
    plugin say what they want.
    """
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _class(name: str) -> type[AnyPlugin]:
    """Return the class of a plugin in `plugins/`, or of an installed one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SettingsError([f"bot.plugins: {name!r} is not a plugin's name"])
    module = f"plugins.{name}"
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, "plugins"):
            raise _not_importable(name, error) from error
        return _checked(name, _installed(name))
    except (ImportError, SyntaxError) as error:
        raise _not_importable(name, error) from error
    return _checked(name, getattr(loaded, "PLUGIN", None))


def _installed(name: str) -> object:
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            return point.load()
        except (ImportError, SyntaxError, AttributeError) as error:
            raise _not_importable(name, error) from error
    raise SettingsError([f"bot.plugins: there is no plugin {name}"])


def _not_importable(name: str, error: Exception) -> SettingsError:
    return SettingsError([f"bot.plugins: {name} cannot be imported: {error}"])


def _checked(name: str, plugin: object) -> type[AnyPlugin]:
    if not (inspect.isclass(plugin) and issubclass(plugin, Plugin)):
        raise SettingsError([f"bot.plugins: {name} has no PLUGIN that is a bot.plugin.Plugin"])
    given = getattr(plugin, "name", None)
    if given != name:
        raise SettingsError([f"bot.plugins: {name} calls itself {given}"])
    return plugin


def make(found: Iterable[Found], context: PluginContext) -> Sequence[AnyPlugin]:
    """Make the plugins, each with its own settings."""
    return [item.plugin(item.settings, context) for item in found]


def collect(plugins: Sequence[AnyPlugin]) -> Offers:
    """Read once what plugins offer.

    Raises:
        SettingsError: two plugins offer the same command, interaction or action,
            or one the same job twice, or two webhooks.
    """
    problems: list[str] = []
    commands = _unique(plugins, lambda p: p.commands(), _verbs, problems)
    interactions = _unique(plugins, lambda p: p.interactions(), lambda i: [i.name], problems)
    actions = _unique(plugins, lambda p: p.actions(), lambda a: [a.reference], problems)
    jobs = [(plugin.name, job) for plugin in plugins for job in plugin.jobs()]
    problems += _twice([f"the job {owner}.{job.name}" for owner, job in jobs])
    hooks = [(plugin.name, hook) for plugin in plugins for hook in plugin.webhooks()]
    problems += _twice([f"the webhook /hooks/{owner}" for owner, _ in hooks])
    if problems:
        raise SettingsError(problems)
    return Offers(
        commands=commands,
        interactions={i.name: i for i in interactions},
        actions=actions,
        jobs=jobs,
        webhooks=dict(hooks),
        pages={plugin.name: plugin.pages() for plugin in plugins},
        templates={plugin.name: _templates(plugin) for plugin in plugins},
    )


def _templates(plugin: AnyPlugin) -> Path:
    """Return the folder of a plugin's page templates, which need not be there."""
    return Path(inspect.getfile(type(plugin))).with_name("templates")


def _twice(names: Sequence[str]) -> list[str]:
    return [f"{name}: is offered twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def _verbs(command: Command) -> Sequence[str]:
    return [f"{command.root} {verb}" for verb in (command.verb, *command.aliases)]


def _unique(
    plugins: Sequence[AnyPlugin],
    offers: Callable[[AnyPlugin], Sequence[Any]],
    keys: Callable[[Any], Sequence[str]],
    problems: list[str],
) -> list[Any]:
    """Return what all plugins offer, and note every key that two of them use."""
    owners: dict[str, str] = {}
    kept: list[Any] = []
    for plugin in plugins:
        for offer in offers(plugin):
            kept.append(offer)
            for key in keys(offer):
                if key in owners:
                    problems.append(f"{key}: offered by {owners[key]} and by {plugin.name}")
                owners[key] = plugin.name
    return kept
