"""Language models behind the port: none at all, or a chat model of langchain's."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bot.llm.cleaning import LONGEST, plain
from bot.ports import ModelUnavailable

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger(__name__)

_LONGEST_NAME = 120
_LONGEST_PROMPT = 60_000  # characters


class NoModel:
    """There is no language model; the records tell everything themselves."""

    @property
    def name(self) -> str:
        """Return a word for the record."""
        return "none"

    async def write(self, prompt: str) -> str:
        """Refuse.

        Raises:
            ModelUnavailable: always.
        """
        raise ModelUnavailable("no language model is configured")


class LangchainModel:
    """A chat model as a chain: prompt, model, text. `timeout` is in seconds.

    The answer is plain text of at most `longest` characters. One model call is
    one attempt: a person waits, and the deterministic writer is there at once.
    """

    def __init__(
        self, model: BaseChatModel, *, timeout: float = 20, longest: int = LONGEST
    ) -> None:
        from langchain_core.output_parsers import StrOutputParser  # noqa: PLC0415  # only if used
        from langchain_core.prompts import ChatPromptTemplate  # noqa: PLC0415  # only if used

        prompt = ChatPromptTemplate.from_messages([("human", "{prompt}")])
        self._chain = prompt | model | StrOutputParser()
        self._name = _name(model)
        self._timeout = timeout
        self._longest = longest

    @property
    def name(self) -> str:
        """Return the class and version of the model."""
        return self._name

    async def write(self, prompt: str) -> str:
        """Return the model's text.

        Raises:
            ModelUnavailable: it failed, took too long, or said nothing.
        """
        if len(prompt) > _LONGEST_PROMPT:
            raise ModelUnavailable(f"the prompt is longer than {_LONGEST_PROMPT} characters")
        text = plain(await self._asked(prompt), longest=self._longest)
        if not text:
            raise ModelUnavailable(f"{self._name} said nothing")
        return text

    async def _asked(self, prompt: str) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._chain.ainvoke({"prompt": prompt})
        except TimeoutError as late:
            log.warning("%s took longer than %g s", self._name, self._timeout)
            raise ModelUnavailable(f"{self._name} took longer than {self._timeout:g} s") from late
        except Exception as error:  # every provider raises errors of its own
            log.warning("%s failed: %s", self._name, type(error).__name__, exc_info=error)
            raise ModelUnavailable(f"{self._name} failed: {type(error).__name__}") from error


def _name(model: BaseChatModel) -> str:
    """Return the class with the model's own name, fit for a ledger header."""
    version = next(
        (v for key in ("model_name", "model", "model_id") if (v := getattr(model, key, None))), ""
    )
    name = f"{type(model).__name__} {version if isinstance(version, str) else ''}".strip()
    return "".join(c for c in name if c.isprintable())[:_LONGEST_NAME]
