"""The language model: any langchain chat model by its dotted path; off by default.

`NoModel` is what there is without settings. Nothing of langchain is imported
before a model is configured: that costs time and memory at every start.
"""

from __future__ import annotations

from bot.llm.cleaning import plain
from bot.llm.loading import configured
from bot.llm.models import LangchainModel, NoModel

__all__ = ["LangchainModel", "NoModel", "configured", "plain"]
