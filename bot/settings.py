"""config.toml and the environment, read once into one frozen Settings.

The environment beats the file: `TOCSIN_SLACK__BOT_TOKEN` is `[slack] bot_token`.
Secrets come from the environment, or from files in the folder that
`TOCSIN_SECRETS_DIR` names (one file each, named like the variable), and are
refused in config.toml, since that is meant to be in git.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as SourceError,
)
from typing_extensions import override

_PREFIX = "TOCSIN_"
_SECRET_NAME = re.compile(r"key|token|secret|password", re.IGNORECASE)
_URL_SECRET = re.compile(r"//[^/@]*:[^/@]*@|[?&](ssl)?password=")
SECRETS_FOLDER = "TOCSIN_SECRETS_DIR"

DEFAULT_PLUGINS = (
    "alertmanager",
    "alerts",
    "triage",
    "similar",
    "runbooks",
    "warroom",
    "postmortem",
    "governance",
    "prometheus",
    "http",
    "command",
    "manual",
)


# What pydantic says for programmers, for people.
_REASONS = {
    "extra_forbidden": "there is no such key",
    "model_type": "has to be a table",
    "dict_type": "has to be a table",
    "mapping_type": "has to be a table",
    "tuple_type": "has to be a list",
}


class SettingsError(Exception):
    """Settings that cannot be used; each problem names its key and the reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Section(BaseModel):
    """A section: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BotSection(Section):
    """What runs, and where it keeps things."""

    plugins: tuple[str, ...] = DEFAULT_PLUGINS
    data: Path = Path("var")
    knowledge: Path = Path("knowledge")
    database: str = Field(default="", pattern=r"^(postgres(ql)?://.*)?$")
    database_password: SecretStr | None = None
    reload_seconds: float = Field(default=5, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class SlackSection(Section):
    """The connection to Slack."""

    mode: Literal["socket", "http"] = "socket"
    alerts_channel: str = "alerts"
    pin_emojis: tuple[str, ...] = ("pushpin", "stopwatch")
    api_url: str = Field(default="https://slack.com/api/", pattern=r"^https?://[^/]+/")
    bot_token: SecretStr | None = None
    app_token: SecretStr | None = None
    signing_secret: SecretStr | None = None


class WebSection(Section):
    """The web server: webhooks in, health and metrics out."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    max_body_mb: float = Field(default=10, gt=0, le=1000)
    max_waiting: int = Field(default=200, gt=0)


class SignInSection(Section):
    """Where people sign in to read the pages; without an issuer nobody can."""

    issuer: str = ""
    client_id: str = ""
    client_secret: SecretStr | None = None
    public_url: str = ""
    user_claim: str = "https://slack.com/user_id"
    required: Mapping[str, str] = Field(default_factory=dict)
    responders: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ("auditors",)


class SearchSection(Section):
    """How past incidents and runbooks are found."""

    model: str = "minilm-onnx"
    meaning: bool = True
    nearest: Literal["memory", "database"] = "memory"


class ModelSection(Section):
    """The language model; without a class there is none."""

    class_path: str = ""
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    timeout: float = Field(default=20, gt=0, le=300)
    api_key: SecretStr | None = None


class ApprovalsSection(Section):
    """How long plans wait for answers, and how long consent lasts, in seconds.

    `same_person` lists the accounts of people who have several.
    """

    answer_within: float = Field(default=1800, gt=0)
    execute_within: float = Field(default=600, gt=0)
    same_person: tuple[tuple[str, ...], ...] = ()


def _unnumbered(origin: str) -> str:
    if re.search(r"/[0-9]+$", origin):
        raise ValueError("may not end in a number: that is what restoring a log adds to its name")
    return origin


class LedgerSection(Section):
    """Who signs the ledger, and who else holds its checkpoints."""

    origin: Annotated[str, AfterValidator(_unnumbered)] = Field(
        default="localhost/tocsin", pattern=r"^[A-Za-z0-9./-]{1,200}$"
    )
    keys: Path | None = None
    anchor: Path | None = None
    checkpoint_entries: int = Field(default=64, ge=1)
    checkpoint_seconds: float = Field(default=60, gt=0)
    channel: str = ""
    timestamp_url: str = Field(default="", pattern=r"^(https?://[^/]+.*)?$")
    timestamp_certificates: Path | None = None
    witness_url: str = Field(default="", pattern=r"^(https?://[^/]+.*)?$")
    witness_key: str = ""
    signer: tuple[str, ...] = ()
    signer_key: str = ""


class BrakesSection(Section):
    """When actions are stopped by themselves; times in seconds."""

    troubles: int = Field(default=3, ge=1)
    window: float = Field(default=3600, gt=0)
    rest: float = Field(default=1800, gt=0)
    fleet: int = Field(default=20, ge=1)
    fleet_window: float = Field(default=600, gt=0)
    loop: int = Field(default=2, ge=1)
    loop_window: float = Field(default=1800, gt=0)
    calendars_stale_after: float = Field(default=0, ge=0)
    security_contact: str = ""


class RunsSection(Section):
    """How runs are worked on; times in seconds."""

    lease: float = Field(default=15, gt=0)
    poll: float = Field(default=0.5, gt=0)
    parallel: int = Field(default=4, gt=0)


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    bot: BotSection = BotSection()
    slack: SlackSection = SlackSection()
    web: WebSection = WebSection()
    sign_in: SignInSection = SignInSection()
    search: SearchSection = SearchSection()
    llm: ModelSection = ModelSection()
    approvals: ApprovalsSection = ApprovalsSection()
    ledger: LedgerSection = LedgerSection()
    brakes: BrakesSection = BrakesSection()
    runs: RunsSection = RunsSection()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)

    _file: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def from_file(self) -> Mapping[str, Any]:
        """Return what config.toml itself says, to tell secrets in it from secrets beside it."""
        return self._file

    @property
    def database(self) -> Path | str:
        """Return the path of the database file, or the URL of PostgreSQL with its password."""
        url, password = self.bot.database, self.bot.database_password
        if not url:
            return self.bot.data / "tocsin.db"
        if password is None:
            return url
        return f"{url}{'&' if '?' in url else '?'}password={quote(password.get_secret_value(), '')}"

    @property
    def halt_file(self) -> Path:
        """Return the file that stops all actions by being there."""
        return self.bot.data / "HALT"

    @property
    def keys(self) -> Path:
        """Return the folder of the ledger's keys."""
        return self.ledger.keys or self.bot.data / "keys"

    @property
    def anchor(self) -> Path:
        """Return the folder of the anchor that is kept beside the data."""
        data = self.bot.data.resolve()
        return self.ledger.anchor or data.with_name(f"{data.name}-anchor")

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment beat secret files, and both beat config.toml."""
        if isinstance(settings_cls.model_config.get("secrets_dir"), str):
            return env_settings, NestedSecretsSettingsSource(file_secret_settings), init_settings
        return env_settings, init_settings


def load(path: Path | None) -> Settings:
    """Read config.toml (none is fine) and the environment.

    Relative folders are taken from where config.toml stands.

    Raises:
        SettingsError: naming every key that is wrong, and why.
    """
    data = _read(path) if path is not None else {}
    problems = [
        f"{key}: is a secret; give it as {_variable(key)}" for key in secrets_in(Settings, data)
    ]
    problems += [
        f"llm.arguments.{key}: looks like a secret; give it as {_variable('llm.api_key')}"
        for key in _table(_table(data, "llm"), "arguments")
        if _SECRET_NAME.search(key)
    ]
    if _URL_SECRET.search(str(_table(data, "bot").get("database", ""))):
        problems.append(
            f"bot.database: has a password; give it as {_variable('bot.database_password')}"
        )
    problems += [f"{name}: there is no such section" for name in _strangers(os.environ)]
    problems += _single(os.environ)
    if problems:
        raise SettingsError(problems)
    try:
        settings = _build(data)
    except ValidationError as error:
        raise SettingsError(explain(error)) from None
    except SourceError as error:
        reason = f"is not JSON, which lists and tables need: {error.__cause__ or error}"
        raise SettingsError([f"{_section(error)}: {reason}"]) from None
    settings._file = data  # its own private attribute
    return _anchored(settings, path.parent if path else Path())


def _build(data: Mapping[str, Any]) -> Settings:
    folder = os.environ.get(SECRETS_FOLDER)
    if not folder:
        return Settings(**data)
    if not Path(folder).is_dir():
        raise SettingsError([f"{SECRETS_FOLDER}: {folder} is not a folder"])
    secret: type[Settings] = type("Settings", (Settings,), {})
    secret.model_config = {
        **Settings.model_config,
        "secrets_dir": folder,
        "secrets_nested_delimiter": "__",
    }
    built = secret(**data)
    assert isinstance(built, Settings)  # noqa: S101  # by construction
    return built


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from None


def _anchored(settings: Settings, folder: Path) -> Settings:
    bot = settings.bot.model_copy(
        update={
            "data": folder / settings.bot.data,
            "knowledge": folder / settings.bot.knowledge,
        }
    )
    named = ("keys", "anchor", "timestamp_certificates")
    given = {name: getattr(settings.ledger, name) for name in named}
    placed = {name: folder / path for name, path in given.items() if path is not None}
    ledger = settings.ledger.model_copy(update=placed)
    anchored = settings.model_copy(update={"bot": bot, "ledger": ledger})
    anchored._file = settings._file  # its own private attribute
    return anchored


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """Return one line per problem: the key and the reason."""
    return [
        f"{prefix}{'.'.join(str(part) for part in fault['loc'])}: "
        f"{_REASONS.get(fault['type'], fault['msg'])}"
        for fault in error.errors()
    ]


def secrets_in(model: type[BaseModel], data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return the keys of secrets that stand in some data."""
    for name, field in model.model_fields.items():
        if name not in data:
            continue
        if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ())):
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            section = data[name]
            if isinstance(section, Mapping):
                yield from secrets_in(field.annotation, section, f"{prefix}{name}.")


def _strangers(environment: Iterable[str]) -> list[str]:
    """Return variables of ours that belong to no section: most likely misspelt."""
    known = {f"{_PREFIX}{section.upper()}" for section in Settings.model_fields}
    ours = (name.upper() for name in environment if name.upper().startswith(_PREFIX))
    return sorted(name for name in ours if "__" in name and name.partition("__")[0] not in known)


def _single(environment: Iterable[str]) -> list[str]:
    """Return what is wrong with variables that name a section, but with one underscore."""
    keys = {
        f"{_PREFIX}{section}_{key}".upper(): f"{_PREFIX}{section}__{key}".upper()
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    }
    found = sorted(name for name in environment if name.upper() in keys)
    return [f"{name}: is read as nothing; write {keys[name.upper()]}" for name in found]


def _section(error: SourceError) -> str:
    """Name the variable that an error of pydantic-settings is about."""
    found = re.search(r'field "(\w+)"', str(error))
    return f"TOCSIN_{found[1].upper()}__…" if found else "environment"


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _variable(key: str) -> str:
    return _PREFIX + key.upper().replace(".", "__")
