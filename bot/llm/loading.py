"""From settings to a model: a dotted path and keyword arguments, checked at start-up."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from bot.llm.models import LangchainModel, NoModel
from bot.ports import LanguageModel
from bot.settings import ModelSection, SettingsError


def configured(section: ModelSection) -> LanguageModel:
    """Return the language model the settings ask for, or none.

    `class_path` is `package.module:Class` or `package.module.Class`; the class
    gets `arguments`, and `api_key` where one is set.

    Raises:
        SettingsError: the class cannot be found, is no chat model, or does not
            accept its arguments.
    """
    if not section.class_path.strip():
        return NoModel()
    chat_model = _class(section.class_path.strip())
    given = dict(section.arguments)
    if section.api_key is not None:
        given["api_key"] = section.api_key.get_secret_value()
    try:
        model = chat_model(**given)
    except (TypeError, ValueError, ImportError) as error:
        # Validation errors quote what they were given, and that may be the key.
        reason = _first_line(error, secret=given.get("api_key", ""))
        raise SettingsError([f"llm.arguments: {section.class_path}: {reason}"]) from None
    return LangchainModel(model, timeout=section.timeout)


def _class(path: str) -> Any:
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not name:
        raise _wrong(path, "is not of the form package.module:Class")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise _wrong(path, f"cannot be imported: {error}") from None
    from langchain_core.language_models import BaseChatModel  # noqa: PLC0415  # only if used

    if not (inspect.isclass(found) and issubclass(found, BaseChatModel)):
        raise _wrong(path, "is not a chat model of langchain's")
    return found


def _wrong(path: str, reason: str) -> SettingsError:
    return SettingsError([f"llm.class_path: {path!r} {reason}"])


def _first_line(error: Exception, *, secret: str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "; ".join(lines[:3]) or type(error).__name__
    return text.replace(secret, "…") if secret else text
