"""Broken pages, each in a file of its own: every mistake by file and line, and nothing else.

The files in `broken/` are one sound page (`00-sound.md`) with one thing wrong. The
table says all that is told about each, word by word: a second complaint about the
same mistake would send people looking in the wrong place.
"""

# The table quotes whole messages.
# ruff: noqa: E501
from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from bot.knowledge import KnowledgeError, load

BROKEN = Path(__file__).parent / "broken"

REASONS = {
    "01-no-front-matter": ("1: does not begin with front matter (a line of ---)",),
    "02-front-matter-never-closed": ("1: the front matter is not closed by a line of ---",),
    "03-two-front-matters": ("60: a second front matter begins here; one file is one page",),
    "04-byte-order-mark": (
        "1: has the invisible character U+FEFF (ZERO WIDTH NO-BREAK SPACE); take it out",
    ),
    "05-nul": ("62: has the invisible character U+0000 (a control character); take it out",),
    "06-control-character": (
        "5: has the invisible character U+001B (a control character); take it out",
    ),
    "07-bare-carriage-return": (
        "62: has the invisible character U+000D (a control character); take it out",
    ),
    "08-lone-surrogate": ("62: is not UTF-8 (byte 0xed); save it so",),
    "09-latin-1": ("66: is not UTF-8 (byte 0xe4); save it so",),
    "10-utf-16": ("1: is not UTF-8 (byte 0xff); save it so",),
    "11-empty": ("1: does not begin with front matter (a line of ---)",),
    "12-bidi-override": (
        "42: has the invisible character U+202E (RIGHT-TO-LEFT OVERRIDE); take it out",
    ),
    "13-crlf-and-a-mistake": (
        "2: owner is missing",
        '6: unknown key "ownr"; did you mean "owner"?',
    ),
    "14-nested-two-thousand-deep": ("21: nested deeper than 8 levels",),
    "15-nested-two-thousand-tables": ("21: nested deeper than 8 levels",),
    "16-duplicate-key": ('40: the key "title" stands on line 39 already',),
    "17-anchor": ("19: the anchor &name is not allowed; leave it out",),
    "18-alias-bomb": ("10: the alias *a is not allowed; write the value out",),
    "19-python-tag": (
        "4: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed; leave it out",
    ),
    "20-merge-key": ("6: YAML readers disagree about a plain <<; put it in quotes",),
    "21-on-as-key": ("43: YAML readers disagree about a plain on; put it in quotes",),
    "22-number-as-key": ("7: a key has to be text; put 1 in quotes",),
    "23-true-as-key": ("7: a key has to be text; put true in quotes",),
    "24-null-as-key": ("7: a key has to be text; put null in quotes",),
    "25-no-is-not-a-boolean": ("14: YAML readers disagree about a plain no; put it in quotes",),
    "26-second-document": ("7: a second YAML document is not allowed here; one file is one page",),
    "27-tab-as-indent": ("10: not readable as YAML: found character that cannot start any token",),
    "28-empty-alternative": ("13: match.any[2] says nothing; give alerts, labels or services",),
    "29-not-when-speaks-of-facts": (
        '11: match.not_when cannot be understood at character 1: there is no "facts.used_share" here; known are labels.*',
    ),
    "30-label-compared-with-a-number": (
        '11: match.not_when cannot be understood at character 1: ">" takes a number, and this is text',
    ),
    "31-pattern-that-looks-around": (
        '12: params.keys.pattern cannot be used: "(?=" is not supported; groups are (..) or (?:..), without looking around and without flags',
    ),
    "32-pattern-that-explodes": (
        "12: params.keys.pattern cannot be used: with its repetitions it needs more than 1000 states",
    ),
    "33-quantity-in-other-units": (
        '13: params.size.default does not fit: Parameter "size": "512MB" is not a quantity such as 512Mi, 2Gi, 1500m or 3.',
    ),
    "34-expression-that-ends-early": (
        "30: decide[1].when cannot be understood at character 19: something is missing at the end",
    ),
    "35-expression-assigns": (
        "33: decide[2].when cannot be understood at character 38: write == to compare",
    ),
    "36-expression-without-quotes": (
        '33: decide[2].when cannot be understood at character 41: "prod" is no value; put text in quotes, or write facts.prod',
    ),
    "37-unknown-fact": (
        '30: decide[1].when cannot be understood at character 1: there is no "facts.usedshare" here; did you mean "facts.used_share"?',
    ),
    "38-unknown-parameter": (
        '33: decide[2].when cannot be understood at character 27: there is no "params.enw" here; did you mean "params.env"?',
    ),
    "39-text-compared-with-a-number": (
        '33: decide[2].when cannot be understood at character 27: ">" takes a number, and this is text',
    ),
    "40-fact-compared-with-text": (
        '30: decide[1].when cannot be understood at character 21: "==" compares a measured value with text',
    ),
    "41-expression-is-a-number": (
        "41: steps[1].when cannot be understood at character 18: it is a number, but a condition is true or false",
    ),
    "42-expression-too-deep": (
        "41: steps[1].when cannot be understood at character 33: it nests deeper than 32",
    ),
    "43-expression-too-long": ("41: steps[1].when is longer than 1000 characters",),
    "44-expression-calls": (
        '41: steps[1].when cannot be understood at character 1: "system" is no value; put text in quotes, or write facts.system',
    ),
    "45-rule-to-an-unknown-step": (
        '34: decide[2].then names the unknown step "evikt"; did you mean "evict"?',
    ),
    "46-rule-decides-nothing": ("34: decide[2].then names nothing",),
    "47-stop-in-a-list": (
        '34: decide[2].then names the unknown step "stop"; stop stands alone, without a list',
    ),
    "48-rule-never-asked": (
        "37: decide[4].when is never asked, since the rule before it always holds",
    ),
    "49-step-no-rule-reaches": (
        '38: steps[1].id "evict" is reached by no rule; name it under then, or take it out',
    ),
    "50-rule-without-a-condition": ("30: decide[1].when is missing",),
    "51-retry-after-anything": (
        '43: steps[1].retry.after holds "anything", but should be of unreachable, timeout, conflict, rate-limited, unavailable',
    ),
    "52-retry-names-no-failure": (
        "43: steps[1].retry.after has to name the failures to try again after: unreachable, timeout, conflict, rate-limited, unavailable",
    ),
    "53-retry-for-days": (
        "43: steps[1].retry.times waits for more than an hour, since each wait is twice the last; lower it",
    ),
    "54-undo-past-the-commit-point": (
        "49: steps[1].undo and commit_point exclude each other; past that point nothing goes back",
    ),
    "55-undo-without-an-action": ("48: steps[1].undo.uses is missing",),
    "56-unknown-on-unknown": (
        '51: steps[1].on_unknown is "guess", but should be one of reconcile, ask',
    ),
    "57-fact-in-a-longer-text": (
        "50: steps[1].undo.with.arguments[2] puts a parameter into a longer text; a value is used whole or not",
    ),
    "58-unknown-fact-in-an-argument": (
        '50: steps[1].undo.with.arguments[2] uses the unknown fact "facts.used"; a fact is the id of a check under diagnose',
    ),
    "59-fact-in-a-check": (
        "21: preconditions[1].with.query uses ${facts.used_share}, but facts are known to steps only",
    ),
    "60-precondition-without-expectation": ("18: preconditions[1].expect is missing",),
    "61-same-id-twice": ('18: preconditions[1].id "used-share" is taken on line 26',),
    "62-step-called-stop": (
        '34: decide[2].then names the unknown step "evict"; give a step\'s id, stop or escalate',
        '38: steps[1].id "stop" is not explained under Mitigation; add {#stop} there',
        '38: steps[1].id "stop" is what a rule may decide; call the step otherwise',
        '57: cases[1].expect names the unknown step "evict"; give a step\'s id, stop or escalate',
        "74: the anchor {#evict} names no step",
    ),
    "63-goal-that-never-changes": (
        "52: done_when.when looks at no fact, so that it would never change; use facts.…",
    ),
    "64-goal-asked-once": (
        "52: done_when.every is longer than within, so that it would be asked only once",
    ),
    "65-case-with-an-unknown-fact": (
        '56: cases[1].facts names the unknown "used-chare"; did you mean "used-share"?',
    ),
    "66-case-with-text-as-fact": (
        "56: cases[1].facts.used-share should be a number, true, false or null, not text",
    ),
    "67-case-expects-an-unknown-step": (
        '57: cases[1].expect names the unknown step "evikt"; did you mean "evict"?',
    ),
    "68-case-with-an-unknown-parameter": (
        '56: cases[1].params names the unknown "kyes"; did you mean "keys"?',
    ),
    "69-case-without-an-expectation": ("54: cases[1].expect is missing",),
    "70-case-with-an-unknown-key": (
        "54: cases[1].expect is missing",
        '57: unknown key "cases[1].expects"; did you mean "expect"?',
    ),
    "71-goal-that-is-no-expression": (
        "52: done_when.when cannot be understood at character 19: something is missing at the end",
    ),
}


def told(folder: Path, name: str, content: bytes | None = None) -> list[str]:
    page = folder / "runbooks" / f"{name}.md"
    page.parent.mkdir(parents=True)
    if content is None:
        shutil.copyfile(BROKEN / page.name, page)
    else:
        page.write_bytes(content)
    with pytest.raises(KnowledgeError) as error:
        load(folder)
    assert {problem.file for problem in error.value.problems} == {f"runbooks/{page.name}"}
    return [f"{problem.line}: {problem.reason}" for problem in error.value.problems]


def test_the_page_they_are_made_from_is_sound(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    shutil.copyfile(BROKEN / "00-sound.md", tmp_path / "runbooks" / "page.md")
    assert list(load(tmp_path).runbooks) == ["cache-full"]


def test_the_table_has_every_file_and_there_are_many() -> None:
    files = {path.stem for path in BROKEN.iterdir()} - {"00-sound"}
    assert files == set(REASONS)
    assert len(files) >= 30


@pytest.mark.parametrize("name", tuple(REASONS))
def test_a_broken_page_is_told_by_line_and_reason_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    before = time.perf_counter()
    assert told(tmp_path, name) == list(REASONS[name])
    assert time.perf_counter() - before < 2.0


SOUND = (BROKEN / "00-sound.md").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    (
        ("huge", SOUND + b"x" * 256 * 1024, "1: is larger than 256 KiB; split it"),
        ("huge-line", b"x" * 250_000, "1: does not begin with front matter (a line of ---)"),
        ("huge-list", b"---\n" + b"- " * 100_000 + b"\n---\n", "2: nested deeper than 8 levels"),
        (
            "huge-expression",
            SOUND.replace(b"facts.used_share < 0.5", b"(" * 100_000),
            "30: decide[1].when is longer than 1000 characters",
        ),
        (
            "huge-pattern",
            SOUND.replace(b"type: integer,", b"type: string, pattern: " + b"a" * 100_000 + b","),
            "12: params.keys.pattern is longer than 500 characters",
        ),
    ),
)
def test_what_is_huge_is_refused_at_once(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    before = time.perf_counter()
    assert reason in told(tmp_path, name, content)
    assert time.perf_counter() - before < 2.0
