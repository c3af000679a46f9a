"""The plugin: where the flag service is, how it speaks, and which flags may be touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings
from plugins.feature_flag.actions import FlagActions, Service
from plugins.feature_flag.templates import ENABLED, FLAG, mentions

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
Path = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=500)]


def _with_flag(path: str) -> str:
    if FLAG not in path:
        raise ValueError(f'"{path}" should hold {FLAG}, which becomes the name of the flag')
    return path


def _with_state(body: Any) -> Any:
    if not mentions(body, ENABLED):
        raise ValueError(f'the body should hold the text "{ENABLED}", which becomes true or false')
    return body


class FeatureFlagSettings(PluginSettings):
    """Where the flags are, and which may be touched.

    `url` is the service's root address and `flags` the names that may be read and
    set; none unless listed. A flag is read with GET at `path`, where the answer
    holds true or false at `pointer`. It is set with `method` at `write_path` (as
    `path`, if left out) by `body`. In paths `{flag}` becomes the name; in the body
    a text that is nothing but `{flag}` or `{enabled}` becomes the name, or true or
    false. `token` is the value of `header`, whole, and comes from the environment
    only. `timeout` is in seconds.
    """

    url: str = Field(default="", pattern=r"^(https?://[^/@]+(/[!-~]*)?)?$")
    flags: tuple[Name, ...] = ()
    path: Annotated[Path, AfterValidator(_with_flag)] = "/flags/{flag}"
    pointer: str = Field(default="/enabled", pattern=r"^(/.*)?$", max_length=300)
    method: Literal["PUT", "PATCH", "POST"] = "PUT"
    write_path: Path | None = None
    body: Annotated[Any, AfterValidator(_with_state)] = Field(
        default_factory=lambda: {"enabled": ENABLED}
    )
    header: str = Field(default="Authorization", pattern=r"^[A-Za-z0-9-]{1,100}$")
    token: SecretStr | None = None
    timeout: float = Field(default=10.0, gt=0)


class FeatureFlag(Plugin[FeatureFlagSettings]):
    """Offers looks at listed flags, and turning them on and off."""

    name: ClassVar[str] = "feature_flag"
    Settings: ClassVar[type[PluginSettings]] = FeatureFlagSettings

    @override
    def actions(self) -> Sequence[Action]:
        return actions(self.settings)


def actions(settings: FeatureFlagSettings) -> Sequence[Action]:
    """Return the actions of these settings for the registry."""
    token = settings.token.get_secret_value() if settings.token else ""
    service = Service(
        url=settings.url,
        path=settings.path,
        pointer=settings.pointer,
        method=settings.method,
        write_path=settings.write_path or settings.path,
        body=settings.body,
        flags=frozenset(settings.flags),
        timeout=settings.timeout,
        headers={settings.header: token} if token else {},
    )
    return FlagActions(service).all()
