"""Foreign pages come in unchanged, or with a reason why not; what people edited stays theirs."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.runbooks import Runbook, matches
from bot.knowledge import KnowledgeError, load
from bot.knowledge.imported_pages import is_imported, read_imported, sealed, sections_of
from bot.knowledge.importing import Became, PageImport, ids_elsewhere, import_pages, slug
from bot.knowledge.problems import Notes, Unparsable

TODAY = date(2026, 11, 21)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "runbooks-dev" / "corpus.jsonl"
BODY = """
## Meaning

It means {name}.

## Impact

Some.

## Diagnosis

- look

## Mitigation

{{{{< hint info >}}}}
Do it, see [the other]({{{{< ref "./Other.md" >}}}}).
{{{{< /hint >}}}}
"""


def page(name: str, body: str = BODY) -> bytes:
    return f"---\ntitle: {name}\nweight: 20\n---\n{body.format(name=name)}".encode()


class Library:
    """A folder of foreign pages, and where they are imported to."""

    def __init__(self, root: Path) -> None:
        self.source = root / "theirs"
        self.knowledge = root / "knowledge"
        self.into = self.knowledge / "runbooks" / "imported"
        self.source.mkdir()

    def write(self, name: str, content: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def take(self, today: date = TODAY) -> dict[str, PageImport]:
        taken = ids_elsewhere(self.into)
        pages = import_pages(self.source, self.into, owner="sre", today=today, taken=taken)
        return {page.source: page for page in pages}

    def read(self, name: str) -> Runbook:
        notes = Notes(name)
        book = read_imported(self.knowledge, self.into / name, notes)
        assert book is not None, notes.problems
        return book


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_a_library_of_120_pages_comes_in_whole_and_byte_for_byte(library: Library) -> None:
    sources = {
        f"area{n % 7}/KubeThing{n}Broken.md": page(f"KubeThing{n}Broken") for n in range(120)
    }
    for name, content in sources.items():
        library.write(name, content)
    pages = library.take()
    assert Counter(p.became for p in pages.values()) == {Became.ADDED: 120}
    for name, content in sources.items():
        assert (library.into / name).read_bytes().endswith(content.split(b"---\n", 2)[2])
        book = library.read(name)
        assert not book.executable
        assert matches(book, {"alertname": Path(name).stem})
        assert list(book.sections) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
        assert "{{<" not in book.sections["Mitigation"]
        assert "./Other.md" in book.sections["Mitigation"]


def test_imported_pages_are_loaded_with_ours_and_never_run(library: Library) -> None:
    library.write("kube/FooBroken.md", page("FooBroken"))
    library.write("BarBroken.md", b"No heading at all.\n")
    library.take()
    known = load(library.knowledge)
    assert set(known.runbooks) == {"foo-broken", "bar-broken"}
    assert not any(book.executable for book in known.runbooks.values())
    here = library.into / "BarBroken.md"
    here.write_bytes(here.read_bytes().replace(b'owner: "sre"', b'onwer: "sre"'))
    with pytest.raises(KnowledgeError, match=r'imported/BarBroken\.md:5: unknown key "onwer"'):
        load(library.knowledge)


def test_a_second_import_changes_nothing(library: Library) -> None:
    library.write("FooBroken.md", page("FooBroken"))
    library.take()
    before = (library.into / "FooBroken.md").stat()
    again = library.take(date(2027, 1, 1))
    assert again["FooBroken.md"].became is Became.UNCHANGED
    assert (library.into / "FooBroken.md").stat().st_mtime_ns == before.st_mtime_ns


def test_an_imported_page_that_was_edited_may_not_hide_anything_either(library: Library) -> None:
    library.write("FooBroken.md", page("FooBroken"))
    library.take()
    here = library.into / "FooBroken.md"
    here.write_bytes(here.read_bytes().replace(b"look", "lo\u202eok".encode()))
    with pytest.raises(KnowledgeError, match=r"FooBroken\.md:22: has the invisible.*U\+202E"):
        load(library.knowledge)


def test_a_page_that_its_authors_changed_is_renewed(library: Library) -> None:
    library.write("FooBroken.md", page("FooBroken"))
    library.take()
    library.write("FooBroken.md", page("FooBroken") + b"\nMore.\n")
    assert library.take()["FooBroken.md"].became is Became.UPDATED
    assert library.read("FooBroken.md").sections["Mitigation"].endswith("More.")


@pytest.mark.parametrize(
    ("old", "new"), ((b"Some.", b"Much."), (b'owner: "sre"', b'owner: "web"'), (b"look", b"look\n"))
)
def test_a_page_that_people_edited_here_is_kept_and_said_so(
    library: Library, old: bytes, new: bytes
) -> None:
    library.write("FooBroken.md", page("FooBroken"))
    library.take()
    here = library.into / "FooBroken.md"
    here.write_bytes(here.read_bytes().replace(old, new))
    edited = here.read_bytes()
    kept = library.take()["FooBroken.md"]
    assert (kept.became, kept.reason) == (Became.KEPT, "people have edited it here")
    library.write("FooBroken.md", page("FooBroken") + b"News.\n")
    kept = library.take()["FooBroken.md"]
    assert kept.became is Became.KEPT
    assert "what it was made from has changed since" in kept.reason
    assert here.read_bytes() == edited


def test_a_page_of_our_own_by_that_name_is_never_touched(library: Library) -> None:
    library.write("FooBroken.md", page("FooBroken"))
    library.into.mkdir(parents=True)
    (library.into / "FooBroken.md").write_text("mine")
    assert library.take()["FooBroken.md"].became is Became.KEPT
    assert (library.into / "FooBroken.md").read_text() == "mine"


def test_ids_are_taken_once_wherever_they_are(library: Library) -> None:
    own = library.knowledge / "runbooks" / "redis"
    own.mkdir(parents=True)
    (own / "own.md").write_text("---\nformat: runbook/v1\nid: foo-broken\n---\n")
    library.write("a/FooBroken.md", page("FooBroken"))
    library.write("a/BarBroken.md", page("BarBroken"))
    library.write("b/BarBroken.md", page("BarBroken"))
    pages = library.take()
    assert pages["a/FooBroken.md"].reason == (
        'the id "foo-broken" is taken by runbooks/redis/own.md'
    )
    assert pages["a/BarBroken.md"].became is Became.ADDED
    assert pages["b/BarBroken.md"].reason == 'the id "bar-broken" is taken by a/BarBroken.md'
    assert library.take()["a/BarBroken.md"].became is Became.UNCHANGED


HOSTILE = {
    "Empty.md": (b"", "nothing stands in it"),
    "Blank.md": (b"---\ntitle: Blank\n---\n \n", "nothing stands in it"),
    "Open.md": (b"---\ntitle: Open\n## Meaning\n", "its front matter is not closed"),
    "Binary.md": (b"\x00\xff\xfe\x01" * 99, "is not UTF-8 (line 1 of its text)"),
    "Nul.md": (b"## Meaning\na\0b\n", "line 2 of its text has the invisible character U+0000"),
    "Bidi.md": ("## Meaning\nrm \u202e x\n".encode(), "invisible character U+202E"),
    "Huge.md": (b"## Meaning\n" + b"x" * 300_000, "is larger than 256 KiB"),
    "notes-on-things.md": (b"# Notes\nJust prose.\n", "neither its title nor its name"),
    "Prose.md": (b"Just prose.\n", "neither its title nor its name"),
    "Bad\nName.md": (b"## Meaning\nx\n", "its name has characters"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_page_that_is_refused_has_a_reason(library: Library, name: str) -> None:
    content, reason = HOSTILE[name]
    library.write(name, content)
    library.write("GoodBroken.md", page("GoodBroken"))
    pages = library.take()
    good = pages.pop("GoodBroken.md")
    assert good.became is Became.ADDED
    (refused,) = pages.values()
    assert refused.became is Became.REFUSED
    assert reason in refused.reason
    assert refused.source.isprintable()
    assert [p.name for p in library.into.rglob("*") if p.is_file()] == ["GoodBroken.md"]


FRONTS = (
    "title: !!python/object/apply:os.system ['touch /tmp/owned']",
    "a: &a [x]\nb: [*a, *a, *a]\ntitle: *a",
    "title: FooBroken\ntitle: Other",
    "title: 'a\u202eb'",
    'title: "' + "x" * 5000 + '"',
    "[" * 3000,
    "on: true\nno: 12:30\ntitle: FooBroken",
    "title: FooBroken\n\tbad: indent",
)


@pytest.mark.parametrize("front", FRONTS)
def test_hostile_front_matter_is_only_ever_searched_for_a_title(
    library: Library, front: str
) -> None:
    library.write("FooBroken.md", f"---\n{front}\n---\n## Meaning\nx\n".encode())
    taken = library.take()["FooBroken.md"]
    assert taken.became is Became.ADDED
    book = library.read("FooBroken.md")
    assert book.id == "foo-broken" or "FooBroken" in book.match.alerts
    assert front not in (library.into / "FooBroken.md").read_text() or len(front) < 20


def test_links_and_what_is_no_page_are_not_followed(library: Library, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_bytes(page("SecretBroken"))
    os.symlink(tmp_path / "secret.md", library.source / "SecretBroken.md")
    os.symlink(tmp_path, library.source / "round")
    os.mkfifo(library.source / "PipeBroken.md")
    library.write("README.md", b"# Read me")
    library.write("sub/_index.md", b"---\ntitle: Sub\n---\n")
    library.write("picture.png", b"png")
    pages = library.take()
    assert pages.pop("README.md").became is Became.SKIPPED
    assert pages.pop("sub/_index.md").became is Became.SKIPPED
    assert set(pages) == {"SecretBroken.md", "PipeBroken.md"}
    assert all("not a regular file" in p.reason for p in pages.values())
    assert not library.into.exists()


def test_a_link_in_the_target_leads_nothing_out_of_it(library: Library, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    library.into.mkdir(parents=True)
    os.symlink(tmp_path / "outside", library.into / "area")
    library.write("area/FooBroken.md", page("FooBroken"))
    assert library.take()["area/FooBroken.md"].became is Became.REFUSED
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "sections"),
    (
        ("## Impact\na\n## Mitigation\nb", {"Impact": "a", "Mitigation": "b"}),
        ("first\n## impact\na", {"Meaning": "first", "Impact": "a"}),
        ("no heading at all", {"Diagnosis": "no heading at all"}),
        ("## Meaning\n```\n## Impact\n```\n", {"Meaning": "```\n## Impact\n```"}),
        ("# Meaning #\na\n## Other\nb\n# Impact\nc", {"Meaning": "a\n## Other\nb", "Impact": "c"}),
        ("## Meaning\na\n## Meaning\nb", {"Meaning": "a\n\nb"}),
        ("## Meaning\n{{range .items}}", {"Meaning": "{{range .items}}"}),
    ),
)  # fmt: skip
def test_sections_are_found_where_they_stand(body: str, sections: dict[str, str]) -> None:
    assert dict(sections_of(body)) == sections


def test_unicode_crlf_and_toml_front_matter_come_in_as_they_are(library: Library) -> None:
    body = (
        "## Meaning\r\nGrüße, 東京 🚨\r\n## Impact\r\nseal: ".encode() + b"0" * 64 + b"\n---\nx\n"
    )
    library.write("FooBroken.md", b'+++\r\ntitle = "FooBroken"\r\n+++\r\n' + body)
    assert library.take()["FooBroken.md"].became is Became.ADDED
    here = library.into / "FooBroken.md"
    assert here.read_bytes().endswith(b"---\n" + body)
    assert sealed(here.read_bytes())
    assert library.take()["FooBroken.md"].became is Became.UNCHANGED
    assert library.read("FooBroken.md").sections["Meaning"] == "Grüße, 東京 🚨"


def test_a_byte_order_mark_and_no_break_spaces_are_no_reason_to_refuse(library: Library) -> None:
    library.write("FooBroken.md", b"\xef\xbb\xbf" + page("FooBroken"))
    library.write("BarBroken.md", "## Meaning\nkubectl\u00a0get\n".encode())
    pages = library.take()
    assert pages["FooBroken.md"].became is Became.ADDED
    assert library.read("FooBroken.md").sections["Impact"] == "Some."
    assert pages["BarBroken.md"].became is Became.ADDED
    assert "no-break spaces" in pages["BarBroken.md"].reason


@pytest.mark.parametrize(
    ("alert", "id"),
    (
        ("KubePodCrashLooping", "kube-pod-crash-looping"),
        ("etcdMembersDown", "etcd-members-down"),
        ("NodeRAIDDegraded", "node-raid-degraded"),
        ("CPUThrottlingHigh", "cpu-throttling-high"),
        ("Watchdog", "watchdog"),
        ("job:slo_errors", "job-slo-errors"),
    ),
)
def test_ids_read_like_the_alert(alert: str, id: str) -> None:
    assert slug(alert) == id


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{2,99}", fullmatch=True))
def test_every_alert_has_an_id_of_the_right_form(alert: str) -> None:
    assert len(slug(alert)) <= 63
    assert slug(alert).replace("-", "").isalnum()


@given(raw=st.binary(max_size=400))
def test_no_bytes_whatever_raise(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    library = Library(tmp_path_factory.mktemp("any"))
    library.write("FooBroken.md", raw)
    taken = library.take()["FooBroken.md"]
    assert taken.became in (Became.ADDED, Became.REFUSED)
    if taken.became is Became.ADDED:
        assert library.read("FooBroken.md").id == "foo-broken" or taken.id
        assert library.take()["FooBroken.md"].became is Became.UNCHANGED


@given(raw=st.binary(max_size=300))
def test_no_bytes_under_our_mark_raise_anything_but_unparsable(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.md"
    path.write_bytes(b"---\nformat: imported/v1\n" + raw)
    assert is_imported(path)
    notes = Notes("x.md")
    try:
        book = read_imported(path.parent, path, notes)
    except Unparsable:
        return
    assert (book is None) is not notes.clean


@pytest.mark.skipif(not REAL.exists(), reason="the published pages are not on this machine")
def test_the_published_library_comes_in_whole(library: Library) -> None:
    for line in REAL.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        front = f"---\ntitle: {row['title']}\nweight: 20\n---\n\n"
        library.write(f"{row['area']}/{row['id']}.md", (front + row["text"]).encode())
    pages = library.take()
    assert len(pages) > 100
    assert Counter(p.became for p in pages.values()) == {Became.ADDED: len(pages)}
    books = [library.read(name) for name in pages]
    assert all(book.sections for book in books)
    assert {Became.UNCHANGED} == {p.became for p in library.take().values()}
