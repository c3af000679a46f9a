"""What the use cases need of the world around them: time, rules, search and prose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain.documents import Acceptances, Dependencies, Document, Found, Query
from bot.domain.policy import PolicyDecision, PolicyRequest


class Clock(Protocol):
    """The time, always UTC-aware."""

    def now(self) -> datetime:
        """Return the current moment."""
        ...


class Policy(Protocol):
    """Decides what a plan needs before it may run."""

    @property
    def digest(self) -> str:
        """Return what identifies the rules in force."""
        ...

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Return the files of the rules in force by name, as they were read."""
        ...

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        ...


class Search(Protocol):
    """Finds documents by words and, once its encoder is ready, by meaning."""

    @property
    def dense_ready(self) -> bool:
        """Say whether meaning is taken into account yet."""
        ...

    async def put(self, documents: Sequence[Document]) -> None:
        """Add documents, or replace those of the same id."""
        ...

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget documents."""
        ...

    async def place(self, dependencies: Dependencies) -> None:
        """Learn which services need which; what was known before is replaced."""
        ...

    async def accept(self, acceptances: Acceptances) -> None:
        """Learn how people judged documents, by id; what was known before is replaced."""
        ...

    async def find(
        self,
        query: Query,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
        services: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Found:
        """Return the best documents of some kinds, best first.

        With `before`, only those created earlier, and the timeless ones; with
        `services`, only those that concern one of them; never those `without`.
        """
        ...


class LanguageModel(Protocol):
    """Writes prose from a prompt. Never decides, never acts."""

    @property
    def name(self) -> str:
        """Return the model's name and version, for the record."""
        ...

    async def write(self, prompt: str) -> str:
        """Return the model's text.

        Raises:
            ModelUnavailable: there is none, or it failed, or took too long.
        """
        ...


class ModelUnavailable(Exception):
    """No text came from the language model; the deterministic writer does the work."""


class Prompts(Protocol):
    """Prompt templates by name."""

    def render(self, name: str, variables: object) -> str:
        """Render a prompt from a frozen dataclass of its variables."""
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a prompt's source, for the ledger."""
        ...
