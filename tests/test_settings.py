from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsError, load

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TOCSIN_"):
            monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems(path: Path | None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_no_file_means_defaults() -> None:
    settings = load(None)
    assert settings.web.port == 8080
    assert settings.database == Path("var/tocsin.db")


def test_the_shipped_file_says_exactly_the_defaults() -> None:
    shipped, plain = load(ROOT / "config.toml"), load(None)
    for section in type(shipped).model_fields:
        if section not in ("bot", "plugins"):
            assert getattr(shipped, section) == getattr(plain, section), section
    assert shipped.bot.plugins == plain.bot.plugins
    data = tomllib.loads((ROOT / "config.toml").read_text())
    assert data["bot"]["data"] == str(plain.bot.data)
    assert data["bot"]["knowledge"] == str(plain.bot.knowledge)


def test_relative_folders_are_taken_from_where_the_file_stands(tmp_path: Path) -> None:
    path = written(tmp_path, '[bot]\ndata = "d"\nknowledge = "/srv/knowledge"\n')
    settings = load(path)
    assert settings.bot.data == tmp_path / "d"
    assert settings.bot.knowledge == Path("/srv/knowledge")
    assert settings.database == tmp_path / "d" / "tocsin.db"


def test_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(
        tmp_path, '[web]\nport = 1\nhost = "::1"\n[plugins.demo]\nurl = "a"\nservice = "b"\n'
    )
    monkeypatch.setenv("TOCSIN_WEB__PORT", "2")
    monkeypatch.setenv("TOCSIN_PLUGINS__DEMO__URL", "c")
    monkeypatch.setenv("TOCSIN_BOT__PLUGINS", '["demo"]')
    settings = load(path)
    assert (settings.web.port, settings.web.host) == (2, "::1")
    assert settings.plugins["demo"] == {"url": "c", "service": "b"}
    assert settings.bot.plugins == ("demo",)
    assert settings.from_file["plugins"] == {"demo": {"url": "a", "service": "b"}}


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    found = problems(
        written(
            tmp_path,
            """
            [bot]
            log_level = "LOUD"
            [web]
            port = 70000
            prot = 1
            [runs]
            lease = 0
            [nonsense]
            """,
        )
    )
    assert [line.partition(":")[0] for line in found] == [
        "bot.log_level",
        "web.port",
        "web.prot",
        "runs.lease",
        "nonsense",
    ]
    assert "less than or equal to 65535" in found[1]
    assert "there is no such key" in found[2]


@pytest.mark.parametrize(
    ("key", "variable"),
    (
        ('[slack]\nbot_token = "xoxb-1"', "TOCSIN_SLACK__BOT_TOKEN"),
        ('[slack]\napp_token = "xapp-1"', "TOCSIN_SLACK__APP_TOKEN"),
        ('[slack]\nsigning_secret = "s"', "TOCSIN_SLACK__SIGNING_SECRET"),
        ('[llm]\napi_key = "k"', "TOCSIN_LLM__API_KEY"),
    ),
)
def test_a_secret_in_the_file_is_refused_without_repeating_it(
    tmp_path: Path, key: str, variable: str
) -> None:
    [found] = problems(written(tmp_path, key))
    assert found.endswith(f"is a secret; give it as {variable}")
    assert "1" not in found


def test_secrets_come_from_the_environment_and_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOCSIN_SLACK__BOT_TOKEN", "xoxb-secret")
    settings = load(None)
    assert settings.slack.bot_token is not None
    assert settings.slack.bot_token.get_secret_value() == "xoxb-secret"
    assert "xoxb-secret" not in repr(settings)


def test_secrets_come_from_files_and_the_environment_beats_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "TOCSIN_SLACK__BOT_TOKEN").write_text("from-file\n")
    (folder / "TOCSIN_SLACK__APP_TOKEN").write_text("from-file")
    (folder / "TOCSIN_PLUGINS__ALERTMANAGER__TOKEN").write_text("from-file")
    monkeypatch.setenv("TOCSIN_SECRETS_DIR", str(folder))
    monkeypatch.setenv("TOCSIN_SLACK__APP_TOKEN", "from-environment")
    settings = load(None)
    assert settings.slack.bot_token is not None
    assert settings.slack.bot_token.get_secret_value() == "from-file"
    assert settings.slack.app_token is not None
    assert settings.slack.app_token.get_secret_value() == "from-environment"
    assert settings.plugins["alertmanager"]["token"] == "from-file"
    assert settings.from_file == {}


def test_a_secrets_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECRETS_DIR", "/no/such/folder")
    assert problems(None) == ["TOCSIN_SECRETS_DIR: /no/such/folder is not a folder"]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    (
        ("TOCSIN_BOT__PLUGINS", "alertmanager", "TOCSIN_BOT__…: is not JSON, which lists"),
        ("TOCSIN_APPROVALS__SAME_PERSON", "{", "TOCSIN_APPROVALS__…: is not JSON"),
        ("TOCSIN_WEB__PORT", "http", "web.port: Input should be a valid integer"),
        ("TOCSIN_SLACK__BOTTOKEN", "x", "slack.bottoken: there is no such key"),
        ("TOCSIN_SLCK__BOT_TOKEN", "x", "TOCSIN_SLCK__BOT_TOKEN: there is no such section"),
        ("TOCSIN_PLUGINS__DEMO", "3", "plugins.demo: has to be a table"),
    ),
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    [found] = problems(None)
    assert found.startswith(expected)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert problems(missing)[0].startswith(f"{missing}: cannot be read")
    assert "is not TOML" in problems(written(tmp_path, "[bot\n"))[0]
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[bot]\ndata = "\xe9"')
    assert problems(latin)[0].startswith(f"{latin}: cannot be read")


def test_settings_are_frozen() -> None:
    settings = load(None)
    assert isinstance(settings, Settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1  # type: ignore[misc]  # what must not work
