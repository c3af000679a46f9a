"""Templates to HTML: one environment for each plugin, the frame shared by all.

Everything is escaped, and a variable that is missing is an error: a page that
silently leaves something out would be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from bot.domain.people import Person
from bot.ports import Clock
from bot.web import filters

_HERE = Path(__file__).parent
_STATIC = {"frame.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class Link:
    """A page in the menu."""

    title: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """The pages of one plugin in the menu."""

    name: str
    links: Sequence[Link]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What surrounds a page: templates have it as `frame`. `here` is the page's own address."""

    title: str
    here: str = ""
    viewer: Person | None = None
    menu: Sequence[Section] = ()
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of the frame."""

    media_type: str
    content: bytes


class Renderer:
    """Renders our own templates and those of plugins."""

    def __init__(self, clock: Clock, folders: Mapping[str, Path]) -> None:
        self._clock = clock
        self._own = self._environment()
        self._plugins = {name: self._environment(path) for name, path in folders.items()}

    @cached_property
    def assets(self) -> Mapping[str, Asset]:
        """Return the files of the frame by name."""
        return {
            name: Asset(media_type=kind, content=(_HERE / "static" / name).read_bytes())
            for name, kind in _STATIC.items()
        }

    @cached_property
    def style(self) -> str:
        """Return the address of the style sheet; it changes with its content."""
        content = hashlib.sha256(self.assets["frame.css"].content).hexdigest()[:12]
        return f"/pages/static/frame.css?{content}"

    def own(self, template: str, frame: Frame, data: Mapping[str, Any]) -> bytes:
        """Render a template of ours."""
        return _encoded(self._own, f"own/{template}", frame, data)

    def plugin(self, name: str, template: str, *, frame: Frame, data: Mapping[str, Any]) -> bytes:
        """Render a template of a plugin.

        Raises:
            LookupError: the plugin has no folder of templates.
        """
        return _encoded(self._plugins[name], template, frame, data)

    def _environment(self, folder: Path | None = None) -> Environment:
        # Ours first: no plugin replaces the frame.
        folders = [_HERE / "templates", *([folder] if folder else [])]
        environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(path) for path in folders]),
            undefined=StrictUndefined,
            autoescape=True,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["moment"] = filters.moment
        environment.filters["ago"] = lambda at: filters.ago(at, now=self._clock.now())
        environment.filters["span"] = filters.span
        environment.filters["digest"] = filters.digest
        return environment


def _encoded(
    environment: Environment, template: str, frame: Frame, data: Mapping[str, Any]
) -> bytes:
    html = environment.get_template(template).render({**data, "frame": frame})
    # Lone surrogates, which hostile data may hold, have no form in UTF-8.
    return html.encode("utf-8", "replace")
