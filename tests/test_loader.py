from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr
from typing_extensions import override

from bot import loader
from bot.domain.actions import Action, ActionResult, Effect, Risk
from bot.domain.messages import Reply
from bot.loader import collect, find
from bot.plugin import (
    Command,
    CommandRequest,
    Interaction,
    InteractionRequest,
    Job,
    JobRun,
    Plugin,
    PluginContext,
    PluginSettings,
    Webhook,
)
from bot.settings import DEFAULT_PLUGINS, SettingsError

ROOT = Path(__file__).resolve().parents[1]
# Plugins that reach into systems: each installation enables those it has.
SYSTEMS = ("feature_flag", "kubernetes", "postgres", "redis", "ssh", "systemd")


class WeatherSettings(PluginSettings):
    place: str = "here"
    often: int = 1
    key: SecretStr | None = None


class Weather(Plugin[WeatherSettings]):
    name: ClassVar[str] = "weather"
    Settings: ClassVar[type[PluginSettings]] = WeatherSettings


class Entry:
    """An installed plugin's entry point."""

    def __init__(self, target: object) -> None:
        self._target = target

    def load(self) -> object:
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


def install(monkeypatch: pytest.MonkeyPatch, **plugins: object) -> None:
    def entry_points(*, group: str, name: str) -> Sequence[Entry]:
        assert group == "tocsin.plugins"
        return [Entry(plugins[name])] if name in plugins else []

    monkeypatch.setattr(loader, "entry_points", entry_points)


def problems(
    names: Sequence[str],
    given: Mapping[str, Mapping[str, Any]] | None = None,
    file: Mapping[str, Any] | None = None,
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        find(names, given or {}, file or {})
    return caught.value.problems


def test_the_shipped_plugins_are_found_in_their_order() -> None:
    names = [*DEFAULT_PLUGINS, "demo", *SYSTEMS]
    found = find(names, {}, {})
    assert [item.name for item in found] == names
    folders = {p.parent.name for p in (ROOT / "plugins").glob("*/plugin.py")}
    assert folders == set(names)


def test_tables_come_from_the_environment_as_json() -> None:
    given = {"command": {"secret_values": '{"PASSWORD": "x"}', "programs": '{"a": {"path": "/a"}}'}}
    [found] = find(["command"], given, {})
    assert found.settings.model_dump()["programs"]["a"]["path"] == "/a"
    with pytest.raises(SettingsError, match=r"plugins\.command\.programs: has to be a table"):
        find(["command"], {"command": {"programs": "{half"}}, {})


def test_an_installed_plugin_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, weather=Weather)
    [found] = find(["weather"], {"weather": {"place": "Oslo"}}, {})
    assert found.plugin is Weather
    assert found.settings == WeatherSettings(place="Oslo")


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, weather=Weather, other=Weather, text="no class")
    given = {"weather": {"place": 3, "often": "x", "wind": 1}, "stranger": {}}
    names = ["weather", "nobody", "other", "text", "../etc", "alertmanager", "alertmanager"]
    assert problems(names, given) == [
        "plugins.weather.place: Input should be a valid string",
        "plugins.weather.often: Input should be a valid integer, unable to parse string"
        " as an integer",
        "plugins.weather.wind: there is no such key",
        "bot.plugins: there is no plugin nobody",
        "bot.plugins: other calls itself weather",
        "bot.plugins: text has no PLUGIN that is a bot.plugin.Plugin",
        "bot.plugins: '../etc' is not a plugin's name",
        "bot.plugins: alertmanager is named twice",
        "plugins.stranger: this plugin is not enabled in bot.plugins",
    ]


def test_a_plugin_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nameless(Plugin[PluginSettings]):
        pass

    install(monkeypatch, nameless=Nameless)
    assert problems(["nameless"]) == ["bot.plugins: nameless calls itself None"]


def test_a_secret_in_the_file_is_refused_and_beside_it_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, weather=Weather)
    given = {"weather": {"key": "s3cret"}}
    [found] = problems(["weather"], given, file=given)
    assert found.startswith("plugins.weather.key: is a secret")
    assert "s3cret" not in found
    [taken] = find(["weather"], given, {})
    assert isinstance(taken.settings, WeatherSettings)
    assert taken.settings.key is not None


def test_a_plugin_whose_own_imports_fail_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import plugins

    for name, text in (("broken", "import no_such_library"), ("faulty", "def (")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.setattr(plugins, "__path__", [*plugins.__path__, str(tmp_path)])
    found = problems(["broken", "faulty"])
    assert found[0] == ("bot.plugins: broken cannot be imported: No module named 'no_such_library'")
    assert found[1].startswith("bot.plugins: faulty cannot be imported: invalid syntax")
    assert "plugins.broken" not in sys.modules


def test_an_entry_point_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, weather=ModuleNotFoundError("No module named 'weather'"))
    assert problems(["weather"]) == [
        "bot.plugins: weather cannot be imported: No module named 'weather'"
    ]


# Offers.


async def answer(request: CommandRequest | InteractionRequest) -> Reply:
    return None


async def work(run: JobRun) -> None:
    return None


async def act(call: Any) -> ActionResult:
    raise NotImplementedError


def action(name: str) -> Action:
    return Action(
        name=name,
        version=1,
        summary="Does something",
        effect=Effect.READ,
        risk=Risk.R0,
        idempotent=True,
        arguments={},
        handler=act,
    )


class Rich(Plugin[PluginSettings]):
    """Offers one of everything."""

    name: ClassVar[str] = "rich"

    @override
    def commands(self) -> Sequence[Command]:
        return (
            Command(
                root="/incident", verb="note", usage="", summary="", handler=answer, aliases=("n",)
            ),
        )

    @override
    def interactions(self) -> Sequence[Interaction]:
        return (Interaction(name="alerts.acknowledge", handler=answer),)

    @override
    def actions(self) -> Sequence[Action]:
        return (action("rich.do"),)

    @override
    def jobs(self) -> Sequence[Job]:
        return (Job(name="sweep", every=60, handler=work),)

    @override
    def webhooks(self) -> Sequence[Webhook]:
        return (Webhook(parse=lambda payload: ()),)


class Rival(Rich):
    name: ClassVar[str] = "rival"

    @override
    def commands(self) -> Sequence[Command]:
        return (Command(root="/incident", verb="n", usage="", summary="", handler=answer),)


class Greedy(Rich):
    name: ClassVar[str] = "greedy"

    @override
    def commands(self) -> Sequence[Command]:
        return ()

    @override
    def interactions(self) -> Sequence[Interaction]:
        return ()

    @override
    def actions(self) -> Sequence[Action]:
        return ()

    @override
    def jobs(self) -> Sequence[Job]:
        return tuple(super().jobs()) * 2

    @override
    def webhooks(self) -> Sequence[Webhook]:
        return tuple(super().webhooks()) * 2


def made(*plugins: type[Plugin[Any]]) -> list[Plugin[Any]]:
    context: PluginContext = None  # type: ignore[assignment]  # these plugins ask for nothing
    return [plugin(PluginSettings(), context) for plugin in plugins]


def test_offers_are_collected() -> None:
    offers = collect(made(Rich))
    assert [c.verb for c in offers.commands] == ["note"]
    assert list(offers.interactions) == ["alerts.acknowledge"]
    assert [a.reference for a in offers.actions] == ["rich.do@1"]
    assert [(owner, job.name) for owner, job in offers.jobs] == [("rich", "sweep")]
    assert list(offers.webhooks) == ["rich"]


def test_clashes_are_named_with_both_sides() -> None:
    with pytest.raises(SettingsError) as caught:
        collect(made(Rich, Rival, Greedy))
    assert caught.value.problems == [
        "/incident n: offered by rich and by rival",
        "alerts.acknowledge: offered by rich and by rival",
        "rich.do@1: offered by rich and by rival",
        "the job greedy.sweep: is offered twice",
        "the webhook /hooks/greedy: is offered twice",
    ]
