"""Every mistake in a knowledge file is named with its file, its line and its reason."""

import os
from pathlib import Path

import pytest

from bot.knowledge import KnowledgeError, load

PAGE = """\
---
format: runbook/v1
id: cache-full
version: 3
title: The cache is full
owner: storage
reviewed: {by: storage-oncall, at: 2026-11-02, max_age: 180d}
match:
  alerts: [CacheFull]
  services: [cache]
  tags: [redis]
params:
  keys:
    type: integer
    from: keys
    default: 1000
approval:
  R2: [{group: storage-oncall, count: 1}]
diagnose:
  - id: used
    title: Share of the memory in use
    uses: prometheus.query@1
    with: {query: used / max}
    expect: {below: 0.9}
steps:
  - id: evict
    title: Evict old keys
    uses: command.run@1
    with: {program: cachectl, args: [evict, "${keys}"]}
    risk: R2
    timeout: 30s
    verify:
      uses: prometheus.query@1
      with: {query: used / max}
      expect: {below: 0.8}
      within: 60s
      every: 1s
      consecutive: 3
    commit_point: true
    on_failure: continue
---

## Meaning

It is full.

## Impact

Everything is slow.

## Diagnosis

```sh
# a comment, not a heading
## nor this {#evict}
```

## Mitigation

### Evict old keys {#evict}

The oldest keys go first.

### Otherwise

Add memory.
"""

CATALOG = """\
format = "services/v1"

[services.cache]
team = "storage"
description = "Remembers"
tier = 1

[services.web]
team = "web"
description = "Shows"
tier = 2
depends_on = ["cache"]
channel = "#web"
"""

INCIDENT = """\
---
format: incident/v1
id: EX-1
title: The cache was full
service: cache
severity: sev2
started_at: 2026-02-11T18:42:00Z
resolved_after_minutes: 23
runbook: cache-full
example: true
---

## Summary

Slow.

## Cause

No eviction.

## Resolution

Evicted.
"""


class Folder:
    """A knowledge folder whose files can be edited and which is then loaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.page = root / "runbooks" / "cache" / "full.md"
        self.catalog = root / "services.toml"
        self.incident = root / "incidents" / "one.md"
        self.write(self.page, PAGE)
        self.write(self.catalog, CATALOG)
        self.write(self.incident, INCIDENT)

    def write(self, path: Path, text: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        self.write(path, text.replace(old, new, 1))

    def problems(self) -> list[str]:
        with pytest.raises(KnowledgeError) as error:
            load(self.root)
        assert all(str(problem) in str(error.value) for problem in error.value.problems)
        return [str(problem) for problem in error.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


RUNBOOK = "runbooks/cache/full.md"

BROKEN_PAGES = {
    "an anchor": ("title: The", "title: &a The", 5, "the anchor &a is not allowed"),
    "an alias": ("owner: storage", "owner: *a", 6, "the alias *a is not allowed"),
    "a tag": ("version: 3", "version: !!int 3", 4, "the tag tag:yaml.org,2002:int"),
    "a python tag": ("version: 3", "version: !!python/name:os.system 3", 4, "is not allowed"),
    "a custom tag": ("version: 3", "version: !env SECRET", 4, "the tag !env is not allowed"),
    "a directive": ("format:", "%YAML 1.1\n--- # x\nformat:", 2, "directives (%YAML, %TAG)"),
    "a merge key": ("owner:", "<<: {a: b}\nowner:", 6, "a plain <<; put it in quotes"),
    "a duplicate key": ("owner:", "title: Again\nowner:", 6, '"title" stands on line 5'),
    "a nested duplicate": ("type: integer", "type: integer\n    type: string", 15, "line 14"),
    "an on key": ("owner:", "on: [CacheFull]\nowner:", 6, "disagree about a plain on"),
    "a quoted on key": ("owner:", '"on": [CacheFull]\nowner:', 6, 'unknown key "on"'),
    "a number as key": ("owner:", "1: x\nowner:", 6, "a key has to be text"),
    "a list as key": ("owner:", "[a]: x\nowner:", 6, "a key has to be text"),
    "a no": ("commit_point: true", "commit_point: no", 39, "disagree about a plain no"),
    "an octal number": ("version: 3", "version: 0777", 4, "disagree about a plain 0777"),
    "a sexagesimal": ("version: 3", "version: 12:30", 4, "disagree about a plain 12:30"),
    "a tab": ("  tags:", "\ttags:", 11, "not readable as YAML"),
    "an unclosed list": ("[redis]", "[redis", 12, "not readable as YAML"),
    "deep nesting": ("used / max", "[" * 12 + "]" * 12, 23, "nested deeper than 8 levels"),
    "very deep nesting": ("used / max", "[" * 40_000, 23, "nested deeper than 8 levels"),
    "an unknown key": ("owner:", "ownr: x\nowner:", 6, 'unknown key "ownr"; did you mean "owner"'),
    "an unknown nested key": ("every:", "each:", 37, 'unknown key "steps[1].verify.each"'),
    "another format": ("runbook/v1", "runbook/v2", 2, "format should be runbook/v1"),
    "a missing key": ("owner: storage\n", "", 2, "owner is missing"),
    "a missing review": ("reviewed: {by: storage-oncall, ", "review: {", 2, "reviewed is missing"),
    "an empty title": ("title: The cache is full", 'title: " "', 5, "title is empty"),
    "no title": ("title: The cache is full", "title:", 5, "title should be text, not nothing"),
    "a long title": ("The cache", "x" * 121, 5, "title is longer than 120 characters"),
    "a bad id": ("id: cache-full", "id: Cache Full", 3, "does not have the form"),
    "text as version": ("version: 3", 'version: "3"', 4, "should be a whole number, not text"),
    "true as version": ("version: 3", "version: true", 4, "should be a whole number, not true"),
    "version zero": ("version: 3", "version: 0", 4, "is 0, but should be from 1"),
    "a bad day": ("2026-11-02", "2026-02-30", 7, "which is not a day"),
    "a bad age": ("180d", "half a year", 7, "is not a duration"),
    "a broken age": ("180d", "36h", 7, "should be whole days"),
    "a list as match": ("match:\n", "match: []\nmatched:\n", 8, "match should be a table"),
    "text as alerts": ("[CacheFull]", "CacheFull", 9, "match.alerts should be a list, not text"),
    "a repeated alert": ("[CacheFull]", "[A, A]", 9, 'names "A" twice'),
    "an unknown type": ("type: integer", "type: int", 14, "should be one of string, integer"),
    "an unfit default": ("default: 1000", "default: many", 16, "is not a whole number"),
    "an enum without values": ("type: integer", "type: enum", 13, "list the choices of an enum"),
    "a label without pattern": ("type: integer", "type: string", 15, "needs a pattern"),
    "a bad pattern": ("default: 1000", 'pattern: "("', 16, "pattern cannot be used"),
    "a bad parameter name": ("  keys:", "  the-keys:", 13, "should look like disk_path"),
    "an unknown risk class": ("  R2: [", "  R7: [", 18, 'unknown key "approval.R7"'),
    "no approvers": ("[{group: storage-oncall, count: 1}]", "[]", 18, "names no group"),
    "zero approvers": ("count: 1", "count: 0", 18, "should be from 1 to 20"),
    "a repeated group": (
        "[{group: storage-oncall, count: 1}]",
        "[{group: a}, {group: a}]",
        18,
        "raise its count instead",
    ),
    "a bad reference": ("command.run@1", "command.run", 28, "does not name an action"),
    "a taken id": ("id: evict", "id: used", 26, '"used" is taken on line 22'),
    "a bad duration": ("timeout: 30s", "timeout: 30 sec", 31, "is not a duration"),
    "a bare number as duration": ("timeout: 30s", "timeout: 30", 31, "not the number 30"),
    "a timeout of weeks": ("timeout: 30s", "timeout: 8d", 31, "604800 s are the most"),
    "an unknown risk": ("risk: R2", "risk: high", 30, "should be one of R0, R1"),
    "an unknown on_failure": ("continue", "retry", 40, "one of rollback, escalate, continue"),
    "an empty expectation": ("expect: {below: 0.8}", "expect: {}", 35, "expect says nothing"),
    "text to expect": ("{below: 0.8}", '{below: "0.8"}', 35, "should be a number, not text"),
    "an impossible wait": ("within: 60s", "within: 1s", 36, "could never succeed"),
    "interpolation": ('"${keys}"', '"--n=${keys}"', 29, "puts a parameter into a longer text"),
    "an unknown parameter": ('"${keys}"', '"${key}"', 29, 'the unknown parameter "key"'),
    "a missing heading": ("## Impact\n\nEverything is slow.\n", "", 63, '"## Impact" is missing'),
    "a repeated heading": ("### Otherwise", "## Impact", 64, '"Impact" appears twice'),
    "a strange heading": ("### Otherwise", "## Notes", 64, '"Notes" is not one of Meaning'),
    "a big heading": ("### Otherwise", "# Otherwise", 64, "a # heading has no place here"),
    "an underlined heading": ("Add memory.", "Add memory.\n---", 67, "an underlined heading"),
    "an empty section": ("Everything is slow.", "", 47, "nothing stands under the heading"),
    "text before": ("## Meaning", "Hello.\n\n## Meaning", 43, "text before the first heading"),
    "an open code block": ("Add memory.", "```\nAdd memory.", 66, "is never closed"),
    "an unexplained step": (" {#evict}\n\nThe", "\n\nThe", 26, "is not explained under Mitigation"),
    "a strange anchor": ("### Otherwise", "### Otherwise {#x}", 64, "{#x} names no step"),
    "a repeated anchor": ("### Otherwise", "### Otherwise {#evict}", 64, "appears twice"),
    "a misplaced anchor": ("It is full.", "It is full. {#x}", 45, "belongs under Mitigation"),
    "no front matter": ("---\n", "", 1, "does not begin with front matter"),
    "open front matter": ("\n---\n\n## M", "\n\n## M", 1, "is not closed by a line of ---"),
    "an invisible character": ("Add memory", "Add\u00a0memory", 66, "U+00A0 (NO-BREAK SPACE)"),
    "a turned text": ("evict,", "\u202eevict,", 29, "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
    "a null byte": ("Add memory", "Add\0memory", 66, "U+0000"),
}


@pytest.mark.parametrize("name", tuple(BROKEN_PAGES))
def test_a_mistake_in_a_runbook_is_named(folder: Folder, name: str) -> None:
    old, new, line, reason = BROKEN_PAGES[name]
    folder.edit(folder.page, old, new)
    found = folder.problems()
    assert any(p.startswith(f"{RUNBOOK}:{line}: ") and reason in p for p in found), found


def test_headings_in_another_order_are_refused(folder: Folder) -> None:
    folder.edit(folder.page, "## Meaning\n\nIt is full.\n\n", "")
    folder.edit(folder.page, "## Diagnosis", "## Meaning\n\nIt is full.\n\n## Diagnosis")
    assert folder.problems() == [
        f'{RUNBOOK}:47: "Meaning" is out of order; '
        "the order is Meaning, Impact, Diagnosis, Mitigation"
    ]


def test_a_file_of_five_megabytes_is_refused_unread(folder: Folder) -> None:
    folder.write(folder.page, PAGE + "x" * 5 * 1024 * 1024)
    assert folder.problems() == [f"{RUNBOOK}:1: is larger than 256 KiB; split it"]


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(folder: Folder) -> None:
    folder.write(folder.page, PAGE.encode().replace(b"Everything", b"\xe4rger"))
    assert folder.problems() == [f"{RUNBOOK}:49: is not UTF-8 (byte 0xe4); save it so"]


def test_an_empty_file_is_refused(folder: Folder) -> None:
    folder.write(folder.page, "")
    assert folder.problems() == [f"{RUNBOOK}:1: does not begin with front matter (a line of ---)"]


def test_empty_front_matter_is_refused(folder: Folder) -> None:
    folder.write(folder.page, "---\n---\n## Meaning\n")
    assert f"{RUNBOOK}:2: the file should be a table, not nothing" in folder.problems()


def test_a_pipe_does_not_hang_the_start(folder: Folder) -> None:
    os.mkfifo(folder.root / "runbooks" / "pipe.md")
    assert folder.problems() == ["runbooks/pipe.md:1: is not a regular file"]


def test_all_problems_of_all_files_are_told_at_once(folder: Folder) -> None:
    folder.edit(folder.page, "version: 3", "version: x")
    folder.edit(folder.page, "timeout: 30s", "timeout: soon")
    folder.edit(folder.incident, "severity: sev2", "severity: bad")
    folder.edit(folder.catalog, "tier = 1", "tier = 9")
    assert [p.split(": ")[0] for p in folder.problems()] == [
        "incidents/one.md:6",
        f"{RUNBOOK}:4",
        f"{RUNBOOK}:31",
        "services.toml:6",
    ]


def test_an_id_that_is_taken_names_the_other_file(folder: Folder) -> None:
    folder.write(folder.root / "runbooks" / "other.md", PAGE)
    assert folder.problems() == [f'runbooks/other.md:3: the id "cache-full" is taken by {RUNBOOK}']


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="is not a folder"):
        load(tmp_path / "nowhere")


BROKEN_CATALOGS = {
    "no TOML": ("tier = 1", "tier = ", 6, "not readable as TOML"),
    "a repeated service": ("[services.web]", "[services.cache]", 8, "not readable as TOML"),
    "another format": ("services/v1", "services/v9", 1, "format should be services/v1"),
    "an unknown key": ('channel = "#web"', 'chanel = "#web"', 13, 'did you mean "channel"'),
    "a bad channel": ('"#web"', '"web"', 13, "does not have the form"),
    "a missing team": ('team = "web"\n', "", 8, "services.web.team is missing"),
    "text as tier": ("tier = 2", 'tier = "2"', 11, "should be a whole number, not text"),
    "a bad name": ("[services.web]", '[services."We b"]', 8, "is not a name like postgres-main"),
    "an unknown dependency": ('["cache"]', '["cash"]', 12, 'the unknown service "cash"'),
    "a circle": ("tier = 1", 'tier = 1\ndepends_on = ["web"]', 7, "cache → web → cache"),
    "a service of itself": ('["cache"]', '["web"]', 12, "web → web"),
}


@pytest.mark.parametrize("name", tuple(BROKEN_CATALOGS))
def test_a_mistake_in_the_catalog_is_named(folder: Folder, name: str) -> None:
    old, new, line, reason = BROKEN_CATALOGS[name]
    folder.write(folder.catalog, CATALOG.replace(old, new, 1))
    found = folder.problems()
    assert any(p.startswith(f"services.toml:{line}: ") and reason in p for p in found), found


def test_services_that_are_no_tables_are_refused(folder: Folder) -> None:
    folder.write(folder.catalog, 'format = "services/v1"\nservices = 1\n')
    assert folder.problems() == ["services.toml:2: services should be a table, not the number 1"]


def test_toml_that_nests_without_end_is_refused(folder: Folder) -> None:
    folder.write(folder.catalog, "a = " + "[" * 50_000)
    assert folder.problems()[0].startswith("services.toml:")


BROKEN_INCIDENTS = {
    "an unknown severity": ("sev2", "sev7", 6, "should be one of sev1, sev2, sev3, sev4"),
    "a time without zone": ("18:42:00Z", "18:42:00", 7, "without a time zone"),
    "no time": ("2026-02-11T18:42:00Z", "yesterday", 7, "which is not a time such as"),
    "a negative duration": ("minutes: 23", "minutes: -1", 8, "is -1, but should be from 1"),
    "text as flag": ("example: true", "example: maybe", 10, "should be true or false, not text"),
    "a missing section": ("## Cause\n\nNo eviction.\n", "", 20, '"## Cause" is missing'),
    "an unknown service": ("service: cache", "service: cash", 5, "is not in services.toml"),
    "an unknown runbook": ("runbook: cache-full", "runbook: x", 9, 'there is no runbook "x"'),
}


@pytest.mark.parametrize("name", tuple(BROKEN_INCIDENTS))
def test_a_mistake_in_a_past_incident_is_named(folder: Folder, name: str) -> None:
    old, new, line, reason = BROKEN_INCIDENTS[name]
    folder.write(folder.incident, INCIDENT.replace(old, new, 1))
    found = folder.problems()
    assert any(p.startswith(f"incidents/one.md:{line}: ") and reason in p for p in found), found


def test_nobody_is_blamed_for_naming_what_a_broken_file_would_have_offered(folder: Folder) -> None:
    folder.edit(folder.page, "version: 3", "version: x")
    assert len(folder.problems()) == 1
