"""The language model: any langchain chat model, and no trouble where it makes some."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import Field
from typing_extensions import override

from bot.llm import LangchainModel, NoModel, configured, plain
from bot.ports import ModelUnavailable
from bot.settings import ModelSection, SettingsError

FAKE = "langchain_core.language_models.fake_chat_models"


class Failing(FakeListChatModel):
    """A model whose provider is down."""

    responses: list[str] = Field(default_factory=list)

    @override
    def _call(self, *args: Any, **kwargs: Any) -> str:
        raise ConnectionError("secret detail")


class Waiting(FakeListChatModel):
    """A model that answers only when it is released."""

    responses: list[str] = Field(default_factory=list)
    released: Any = None

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.released.wait(30)
        return super()._generate(messages, stop, run_manager, **kwargs)


class Echoing(FakeListChatModel):
    """A model that says what it was told."""

    responses: list[str] = Field(default_factory=list)

    @override
    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        return str(messages[0].content)


def test_nothing_of_langchain_is_imported_before_a_model_is_configured() -> None:
    code = (
        "import sys, bot.llm\n"
        "from bot.settings import ModelSection\n"
        "bot.llm.configured(ModelSection())\n"
        "assert not [m for m in sys.modules if m.startswith('langchain')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_without_a_model_nothing_is_written() -> None:
    model = configured(ModelSection())
    assert isinstance(model, NoModel)
    with pytest.raises(ModelUnavailable):
        await model.write("x")


async def test_a_chat_model_writes() -> None:
    model = LangchainModel(FakeListChatModel(responses=["It broke."]))
    assert await model.write("tell") == "It broke."
    assert model.name == "FakeListChatModel"


async def test_a_model_of_messages_writes() -> None:
    def messages() -> Iterator[AIMessage]:
        yield AIMessage(content="It broke.")

    assert await LangchainModel(GenericFakeChatModel(messages=messages())).write("x") == "It broke."


async def test_a_prompt_with_braces_reaches_the_model_as_it_is() -> None:
    assert await LangchainModel(Echoing()).write("a {prompt} and {x}") == "a {prompt} and {x}"


async def test_a_failing_model_is_unavailable_and_its_error_stays_inside() -> None:
    with pytest.raises(ModelUnavailable) as failure:
        await LangchainModel(Failing()).write("x")
    assert str(failure.value) == "Failing failed: ConnectionError"


async def test_a_model_that_takes_too_long_is_unavailable() -> None:
    released = threading.Event()
    try:
        with pytest.raises(ModelUnavailable, match=r"longer than 0\.05 s"):
            await LangchainModel(Waiting(released=released), timeout=0.05).write("x")
    finally:
        released.set()


@pytest.mark.parametrize("answer", ("", "   \n", "<think>hm</think>", "<@U1>"))
async def test_a_model_that_says_nothing_is_unavailable(answer: str) -> None:
    with pytest.raises(ModelUnavailable, match="said nothing"):
        await LangchainModel(FakeListChatModel(responses=[answer])).write("x")


async def test_a_prompt_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ModelUnavailable, match="longer"):
        await LangchainModel(Echoing()).write("x" * 60_001)


async def test_a_long_answer_ends_with_a_whole_sentence() -> None:
    model = LangchainModel(FakeListChatModel(responses=["One. Two. Three. Four."]), longest=12)
    assert await model.write("x") == "One. Two."


@pytest.mark.parametrize(
    ("answer", "shown"),
    (
        ("It <!channel> broke <@U12345>.", "It broke ."),
        ("Thanks @ana and @everyone", "Thanks ana and everyone"),
        ("a@b.example wrote", "a@b.example wrote"),
        ("## Summary\nIt **broke** and `stopped`.", "Summary It broke and stopped."),
        ("See [the page](https://evil.example/x).", "See the page."),
        ("See https://evil.example/x now", "See now"),
        ("<https://evil.example|Grafana>", ""),
        ("<scr<b>ipt>alert(1)</script>", "alert(1)"),
        ("an open <script", "an open script"),
        ("3 < 5 and 7 > 6", "3 < 5 and 7 > 6"),
        ("queue_depth is _high_", "queue_depth is high"),
        ("> quoted\n\n---\n\nend", "quoted\n\nend"),
        ("<think>I should\nlie</think>It broke.", "It broke."),
        ("It\u202e broke\x00.", "It broke."),
        ("one\ntwo\n\n\nthree", "one two\n\nthree"),
        ("sev1 → sev2; 5 * 3", "sev1 → sev2; 5 3"),
    ),
)
def test_an_answer_becomes_plain_text(answer: str, shown: str) -> None:
    assert plain(answer) == shown


@pytest.mark.parametrize("path", (f"{FAKE}:FakeListChatModel", f"{FAKE}.FakeListChatModel"))
async def test_a_model_is_named_by_its_path(path: str) -> None:
    model = configured(ModelSection(class_path=path, arguments={"responses": ["Hello."]}))
    assert await model.write("x") == "Hello."


@pytest.mark.parametrize(
    ("path", "reason"),
    (
        ("nothing", "is not of the form package.module:Class"),
        ("no.such.module:Model", "cannot be imported"),
        (f"{FAKE}:NoSuchModel", "is not a chat model"),
        ("pathlib:Path", "is not a chat model"),
        (f"{FAKE}:", "is not of the form"),
        ("langchain_core.messages:AIMessage", "is not a chat model"),
    ),
)
def test_a_path_that_leads_to_no_model_is_a_clear_error(path: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as error:
        configured(ModelSection(class_path=path))
    assert str(error.value).startswith("llm.class_path: ")


def test_arguments_a_model_does_not_take_are_a_clear_error() -> None:
    section = ModelSection(class_path=f"{FAKE}:FakeListChatModel", arguments={"responses": 7})
    with pytest.raises(SettingsError, match="responses") as error:
        configured(section)
    assert str(error.value).startswith("llm.arguments: ")


def test_a_key_never_shows_in_an_error() -> None:
    section = ModelSection.model_validate(
        {"class_path": f"{FAKE}:FakeListChatModel", "api_key": "k-123456789"}
    )
    with pytest.raises(SettingsError) as error:
        configured(section)
    assert "k-123456789" not in str(error.value)
