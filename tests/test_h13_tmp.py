"""`docs/first-runbook.md`, followed word by word in a copy of the repository.

The manual is read as a person does who follows it. A `console` block holds
commands after `$ ` and what they print. A block below a sentence that ends with
"put this into `path` …:" is that file. Numbered items are done in the browser:
bold is a person to be or a button to press, `#…` a channel, other code is typed,
and quoted words are waited for. Other blocks are only read.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bot.practice.people import Actor
from bot.practice.records import Message
from bot.rehearsal import PEOPLE, Rehearsal, Stage
from plugins.command.plugin import CommandSettings
from tests.scenarios.stage import blocks_of, button, text_of, transcript, until

ROOT = Path(__file__).resolve().parents[1]
MANUAL = Path("/tmp/h13/manual.md")
WRITTEN = "at: 2026-11-21"  # the reader is asked to put in the day at which they read
LONGEST = 60.0  # seconds that one command may take

_LEFT_OUT = (".venv", ".git", "var", "tests", "__pycache__", ".*_cache", ".hypothesis")
_FENCE = "```"
_PATH = re.compile(r"[Pp]ut this into `([^`]+)`.*:\Z")
_TOKEN = re.compile(r"\*\*(?P<bold>[^*]+)\*\*|`(?P<code>[^`]+)`|“(?P<words>[^”]+)”")
_ITEM = re.compile(r"\d+\. ")
_ANYTHING = "…"


@dataclass(frozen=True)
class File:
    """What is to be written, and where."""

    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """What is to be typed in a shell, and what is printed then, line by line."""

    line: str
    printed: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """A block that is only read: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Token:
    """One thing of an item: `bold` is a person or a button, `code` a place or a command.

    `words` are what is to be seen.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Item:
    """One numbered thing to do in the browser."""

    tokens: tuple[Token, ...]


Part = File | Command | Sample | Item


def read(text: str) -> Iterator[Part]:
    """Yield what a manual wants done, in its order."""
    lines, paragraph = iter(text.splitlines()), list[str]()
    for line in lines:
        if line.startswith(_FENCE):
            language, block = line.removeprefix(_FENCE), _block(lines)
            yield from _parts(language, block, " ".join(paragraph))
            paragraph = []
        elif line.strip() and not _ITEM.match(line):
            paragraph.append(line.strip())
        else:
            yield from _items(paragraph)
            paragraph = [line] if line.strip() else paragraph if _introduces(paragraph) else []
    yield from _items(paragraph)


def _introduces(paragraph: Sequence[str]) -> bool:
    return bool(paragraph) and paragraph[-1].endswith(":")


def _block(lines: Iterator[str]) -> list[str]:
    block = list[str]()
    for line in lines:
        if line == _FENCE:
            return block
        block.append(line)
    raise ValueError("a block is not closed")


def _parts(language: str, block: Sequence[str], paragraph: str) -> Iterator[Part]:
    if language == "console":
        yield from _commands(block)
        return
    text = "\n".join(block) + "\n"
    path = _PATH.search(paragraph)
    yield File(path[1], text) if path else Sample(language, text)


def _commands(block: Sequence[str]) -> Iterator[Command]:
    typed, printed = "", list[str]()
    for line in block:
        if not line.startswith("$ "):
            printed.append(line)
            continue
        if typed:
            yield Command(typed, tuple(printed))
        typed, printed = line.removeprefix("$ "), []
    if not typed:
        raise ValueError("a console block has no command")
    yield Command(typed, tuple(printed))


def _items(paragraph: Sequence[str]) -> Iterator[Item]:
    if paragraph and _ITEM.match(paragraph[0]):
        found = _TOKEN.finditer(" ".join(paragraph))
        yield Item(tuple(Token(str(m.lastgroup), m[str(m.lastgroup)]) for m in found))


def fits(printed: str, expected: Sequence[str]) -> bool:
    """Say whether a text is what a manual says; `…` is any text, alone in a line any lines."""
    if not expected:
        return not printed
    pattern = "".join(
        r"(?:[^\n]*\n)*" if line.strip() == _ANYTHING else _line(line) for line in expected
    )
    lines = [line.rstrip() for line in printed.rstrip("\n").split("\n")]
    return re.fullmatch(pattern, "\n".join(lines) + "\n") is not None


def _line(line: str) -> str:
    return r"[^\n]*".join(map(re.escape, line.rstrip().split(_ANYTHING))) + r"\n"


class Reader:
    """Somebody who sits down with a fresh clone and does what the manual says."""

    def __init__(self, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clone = clone
        self._set = monkeypatch.setenv
        self._person = PEOPLE[0][0]
        self._channel = ""
        self._words = ""
        self._rehearsal: Rehearsal | None = None

    async def follow(self, text: str) -> None:
        """Do everything, in order."""
        try:
            for part in read(text):
                match part:
                    case Command():
                        await self._type(part)
                    case File():
                        self._write(part)
                    case Item():
                        await self._press_and_look(part)
                    case Sample():
                        assert part.language == "toml", part
        except BaseException:
            if self._rehearsal is not None:
                print(transcript(self._rehearsal))
            raise
        finally:
            await self._end_the_demo()

    def _write(self, file: File) -> None:
        path = self._clone / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        today = datetime.now(UTC).date()
        path.write_text(file.text.replace(WRITTEN, f"at: {today}"), encoding="utf-8")

    async def _type(self, command: Command) -> None:
        if command.line == "make setup":
            assert "setup:" in (self._clone / "Makefile").read_text()
            return
        if command.line == "make demo":
            await self._start_the_demo(command)
            return
        printed = await asyncio.to_thread(self._shell, command.line)
        if not fits(printed, command.printed):
            wanted = "\n".join(command.printed)
            pytest.fail(f"$ {command.line}\nprinted:\n{printed}\nand not:\n{wanted}")

    def _shell(self, line: str) -> str:
        """Type a line; what it exports stays in the environment."""
        kept = self._clone.parent / "environment"
        done = subprocess.run(
            ["bash", "-c", f'{line}\nstatus=$?; env -0 > "$KEPT"; exit "$status"'],
            cwd=self._clone,
            env={**os.environ, "KEPT": str(kept)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=LONGEST,
            text=True,
        )
        for pair in kept.read_text().split("\0"):
            name, _, value = pair.partition("=")
            if name.startswith("TOCSIN_"):
                self._set(name, value)
        return done.stdout

    async def _start_the_demo(self, command: Command) -> None:
        """Do what `tocsin demo` does, with ports of our own."""
        source = (ROOT / "bot" / "cli" / "demo.py").read_text()
        for line in command.printed:
            assert line.strip(" …").partition(": ")[0] in source, line
        self._rehearsal = Rehearsal(
            Stage(
                directory=self._clone / "var" / "demo",
                knowledge=self._clone / "knowledge",
            )
        )
        await self._rehearsal.start()
        await _seen_up(self._rehearsal.alerting.prometheus_url)

    async def _end_the_demo(self) -> None:
        if self._rehearsal is not None:
            await self._rehearsal.stop()
            self._rehearsal = None

    async def _press_and_look(self, item: Item) -> None:
        assert item.tokens, "an item says nothing to do"
        for token in item.tokens:
            await self._do(token)

    async def _do(self, token: Token) -> None:
        assert self._rehearsal is not None, "the manual has not started the demo"
        names = {real: name for name, real, _ in PEOPLE}
        if token.kind == "words":
            await until(f"“{token.text}” is seen", lambda: self._seen(token.text))
            self._words = token.text
        elif token.kind == "code" and token.text.startswith("#"):
            self._channel = token.text[1:]
        elif token.kind == "code":
            await self._actor.type(self._channel, token.text)
        elif token.text in names:
            self._person = names[token.text]
        else:
            await self._press(token.text)

    async def _press(self, label: str) -> None:
        """Press a button of the form that is open, or of the newest message that has it."""
        actor, channel = self._actor, self._channel
        if actor.modal is not None:
            assert actor.modal.body["submit"]["text"] == label, f"the form has no {label}"
            outcome = await actor.submit({})
            assert not outcome.errors, outcome
            return
        message = await until(f"a button {label}", lambda: button(actor, channel, label))
        await actor.press(message, label, block_id=_beside(message, label, self._words))
        if label.endswith("…"):
            await until(f"what {label} opens", lambda: actor.modal)

    def _seen(self, words: str) -> bool:
        return any(words in _plain(text_of(m)) for m in self._actor.sees(self._channel))

    @property
    def _actor(self) -> Actor:
        assert self._rehearsal is not None
        return self._rehearsal.workspace.person(self._person)


async def _seen_up(prometheus: str) -> None:
    """Wait as long as it takes to open a browser: until Prometheus has looked at checkout."""
    async with httpx.AsyncClient(base_url=prometheus) as client, asyncio.timeout(LONGEST):
        while True:
            answer = await client.get("/api/v1/query", params={"query": "up"})
            if answer.json()["data"]["result"]:
                return
            await asyncio.sleep(0.1)


def _beside(message: Message, label: str, words: str) -> str | None:
    """Return the block of a button that several have: the next one after what was read last."""
    blocks = blocks_of(message)
    having = [n for n, block in enumerate(blocks) if label in str(block.get("elements", ""))]
    if len(having) < 2:
        return None
    read_at = next(n for n, block in enumerate(blocks) if words in str(block))
    return str(blocks[min(n for n in having if n >= read_at)]["block_id"])


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fresh clone that is set up, to be worked on by somebody with a name."""
    folder = tmp_path / "tocsin"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(folder))  # the clone's program, not that of the checkout
    monkeypatch.setenv("COLUMNS", "100")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Reader")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "reader@example.com")
    for line in ("git init -q", "git add .", "git commit -qm clone"):
        subprocess.run(line.split(), cwd=folder, check=True)
    return folder


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
async def test_whoever_follows_the_manual_sees_what_it_says(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    await Reader(clone, monkeypatch).follow(MANUAL.read_text(encoding="utf-8"))
    print(f"everything but reading and typing took {time.monotonic() - began:.0f} s")
    assert not list((clone / "var" / "spool").iterdir()), "the step has moved the files"
    assert committed(clone) == ["knowledge/runbooks/hosts/spool-filling.md"]


def committed(clone: Path) -> list[str]:
    """Return the files of the newest commit."""
    log = ["git", "log", "-1", "--name-only", "--format="]
    done = subprocess.run(log, cwd=clone, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_settings_in_the_manual_are_settings() -> None:
    samples = [part for part in read(MANUAL.read_text()) if isinstance(part, Sample)]
    assert [sample.language for sample in samples] == ["toml"]
    found = tomllib.loads(samples[0].text)["plugins"]["command"]
    assert len(CommandSettings(**found).programs) == 3


def test_what_the_manual_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", MANUAL.read_text())
    assert links
    assert [link for link in links if not (MANUAL.parent / link).exists()] == []


def test_the_manual_takes_five_minutes_to_read() -> None:
    prose = re.sub(r"```.*?```", "", MANUAL.read_text(), flags=re.DOTALL)
    assert len(prose.split()) < 5 * 150


SMALL = """\
# Title

Put this into `var/x`, with `y` in it:

```sh
echo
```

Read `this`:

```toml
a = 1
```

```console
$ one
printed
$ two
```

1. You are **Dana Ito**. In `#alerts`, type
   `/x y`.
2. It says “Done.”

The end.
"""


def test_everything_that_is_to_be_done_is_found_in_its_order() -> None:
    dana = (Token("bold", "Dana Ito"), Token("code", "#alerts"), Token("code", "/x y"))
    assert list(read(SMALL)) == [
        File("var/x", "echo\n"),
        Sample("toml", "a = 1\n"),
        Command("one", ("printed",)),
        Command("two", ()),
        Item(dana),
        Item((Token("words", "Done."),)),
    ]


@pytest.mark.parametrize("text", ("```sh\necho\n", "```console\nprinted\n```\n"))
def test_a_broken_manual_is_not_passed_over(text: str) -> None:
    with pytest.raises(ValueError, match="block"):
        list(read(text))


@pytest.mark.parametrize(
    ("printed", "expected"),
    (
        ("35\n", ["35"]),
        ("", []),
        ("took 0.3 s\n", ["took … s"]),
        ("a\nb\nOK\n", ["…", "OK"]),
        ("OK\n", ["…", "OK"]),
        ("a.b  \n", ["a.b"]),
    ),
)
def test_what_is_said_to_differ_may_differ(printed: str, expected: list[str]) -> None:
    assert fits(printed, expected)


@pytest.mark.parametrize(
    ("printed", "expected"),
    (
        ("36\n", ["35"]),
        ("a\n35\n", ["35"]),
        ("35\nb\n", ["35"]),
        ("took 0.3\ns\n", ["took … s"]),
        ("a\nNOT OK\n", ["…", "OK"]),
        ("axb\n", ["a.b"]),
        ("\n", ["35"]),
        ("35\n", []),
    ),
)
def test_anything_else_may_not(printed: str, expected: list[str]) -> None:
    assert not fits(printed, expected)
