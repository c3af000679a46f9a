"""Who changed a page last: asked of a real git, in repositories that are not to be trusted."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from bot.knowledge import editors, load

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

PAGE = """\
---
format: runbook/v1
id: {id}
version: 1
title: Something is wrong
owner: storage
reviewed: {{by: storage-oncall, at: 2026-11-02}}
match: {{tags: [something]}}
---

## Meaning

{words}

## Impact

None.

## Diagnosis

Look.

## Mitigation

Wait.
"""


class Repository:
    """A repository with a knowledge folder in it."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.knowledge = root / "knowledge"
        (self.knowledge / "runbooks").mkdir(parents=True)
        self.git("init", "-q", "-b", "main", *options)

    def git(self, *words: str, by: str = "ann@example.com") -> str:
        name = by.partition("@")[0] or "x"
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": by,
            "GIT_COMMITTER_NAME": "ci",
            "GIT_COMMITTER_EMAIL": "ci@example.com",
        }
        done = subprocess.run(
            ["git", *words],
            cwd=self.root,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def write(self, name: str, words: str = "It is.") -> None:
        page = self.knowledge / "runbooks" / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(PAGE.format(id=Path(name).stem.replace("ö", "o"), words=words))

    def commit(self, by: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change", by=by)

    def editors(self, folder: Path | None = None) -> dict[str, str]:
        runbooks = load(folder or self.knowledge).runbooks
        return {id: runbook.editor for id, runbook in runbooks.items()}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


def test_each_page_has_the_author_of_its_last_change(repository: Repository) -> None:
    repository.write("one")
    repository.write("area/two")
    repository.commit("ann@example.com")
    repository.write("one", "It was.")
    repository.commit("ben@example.com")
    (repository.knowledge / "services.toml").write_text('format = "services/v1"\n')
    repository.commit("cid@example.com")
    assert repository.editors() == {"one": "ben@example.com", "two": "ann@example.com"}


def test_a_page_with_a_change_that_is_not_committed_has_no_editor(repository: Repository) -> None:
    repository.write("one")
    repository.write("two")
    repository.commit("ann@example.com")
    repository.write("one", "It was.")
    repository.write("new")
    assert repository.editors() == {"one": "", "two": "ann@example.com", "new": ""}
    repository.git("add", "-A")
    assert repository.editors()["one"] == ""


def test_who_reverts_a_page_is_its_editor(repository: Repository) -> None:
    for by, words in (("ann@x.org", "It is."), ("ben@x.org", "It was."), ("cid@x.org", "It is.")):
        repository.write("one", words)
        repository.commit(by)
    assert repository.editors() == {"one": "cid@x.org"}


def test_who_renames_a_page_is_its_editor(repository: Repository) -> None:
    repository.write("one")
    repository.commit("ann@example.com")
    repository.git("mv", "knowledge/runbooks/one.md", "knowledge/runbooks/nö two.md")
    repository.commit("ben@example.com")
    assert repository.editors() == {"one": "ben@example.com"}


def test_without_a_repository_nobody_is_known(tmp_path: Path) -> None:
    page = tmp_path / "runbooks" / "one.md"
    page.parent.mkdir()
    page.write_text(PAGE.format(id="one", words="It is."))
    assert load(tmp_path).runbooks["one"].editor == ""


def test_a_repository_without_a_commit_knows_nobody(repository: Repository) -> None:
    repository.write("one")
    assert repository.editors() == {"one": ""}


def test_the_folder_may_be_the_repository_itself(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.knowledge = repository.root
    (repository.root / "runbooks").mkdir()
    repository.write("one")
    repository.commit("ann@example.com")
    assert repository.editors() == {"one": "ann@example.com"}


def test_without_git_nobody_is_known(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("one")
    repository.commit("ann@example.com")
    monkeypatch.setenv("PATH", "/nowhere")
    assert repository.editors() == {"one": ""}


def test_a_merge_keeps_the_authors_and_who_solves_a_conflict_becomes_one(
    repository: Repository,
) -> None:
    for name in ("one", "two", "three"):
        repository.write(name)
    repository.commit("ann@example.com")
    repository.git("checkout", "-q", "-b", "side")
    repository.write("one", "From the side.")
    repository.write("two", "From the side.")
    repository.commit("ben@example.com")
    repository.git("checkout", "-q", "main")
    repository.write("two", "From main.")
    repository.commit("cid@example.com")
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "-q", "side")
    repository.write("two", "From both.")
    repository.commit("dot@example.com")
    assert repository.editors() == {
        "one": "ben@example.com",
        "two": "dot@example.com",
        "three": "ann@example.com",
    }


def test_a_shallow_clone_knows_what_it_has(repository: Repository, tmp_path: Path) -> None:
    repository.write("one")
    repository.commit("ann@example.com")
    repository.write("two")
    repository.commit("ben@example.com")
    repository.git("clone", "-q", "--depth=1", f"file://{repository.root}", str(tmp_path / "clone"))
    assert repository.editors(tmp_path / "clone" / "knowledge") == {
        "one": "ben@example.com",
        "two": "ben@example.com",
    }


def test_a_repository_of_the_newer_object_format_is_understood(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo", "--object-format=sha256")
    repository.write("one")
    repository.commit("ann@example.com")
    assert repository.editors() == {"one": "ann@example.com"}


def test_an_author_without_an_address_is_nobody(repository: Repository) -> None:
    repository.write("one")
    repository.commit("not an address")
    assert repository.editors() == {"one": ""}


def test_nothing_that_the_repository_names_is_started(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\nexit 1\n")
    trap.chmod(0o755)
    (repository.root / ".gitattributes").write_text("*.md filter=evil diff=evil\n")
    repository.write("one")
    repository.commit("ann@example.com")
    hooks = repository.root / ".git" / "hooks"
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(trap, hooks / hook)
    for key in (
        "core.fsmonitor", "core.pager", "pager.log", "gpg.program", "diff.external",
        "diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge",
        "filter.evil.process", "core.sshCommand", "core.editor", "core.askPass",
    ):  # fmt: skip
        repository.git("config", key, str(trap))
    repository.git("config", "alias.log", f"!{trap}")
    repository.git("config", "log.showSignature", "true")
    sprung.unlink(missing_ok=True)
    for key in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "PAGER", "GIT_SSH_COMMAND"):
        monkeypatch.setenv(key, str(trap))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert repository.editors() == {"one": "ann@example.com"}
    assert not sprung.exists()
    # The trap is live: another command of git does spring it.
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("status")
    assert sprung.exists()


def test_a_git_that_hangs_is_not_waited_for(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("one")
    repository.commit("ann@example.com")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(editors, "PATIENCE", 0.3)
    began = time.monotonic()
    assert repository.editors() == {"one": ""}
    assert time.monotonic() - began < 5


def test_a_page_that_changed_since_it_was_read_has_no_editor(repository: Repository) -> None:
    repository.write("one")
    repository.commit("ann@example.com")
    path = "runbooks/one.md"
    digest = load(repository.knowledge).runbooks["one"].digest
    assert editors.last_editors(repository.knowledge, {path: digest}) == {path: "ann@example.com"}
    assert editors.last_editors(repository.knowledge, {path: "0" * 64}) == {}
    assert editors.last_editors(repository.knowledge, {"runbooks/gone.md": digest}) == {}


def test_three_hundred_pages_and_commits_take_one_call_and_no_second(
    repository: Repository,
) -> None:
    for number in range(300):
        repository.write(f"page-{number}")
    repository.commit("ann@example.com")
    began = time.monotonic()
    digests = {r.path: r.digest for r in load(repository.knowledge).runbooks.values()}
    loaded = time.monotonic() - began
    began = time.monotonic()
    assert len(editors.last_editors(repository.knowledge, digests)) == 300
    assert time.monotonic() - began < 1 + loaded
