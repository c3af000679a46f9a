"""Documents: what is taken over, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.policies import PolicyError, from_documents, load
from bot.policies.statements import statements
from tests.policies.wishes import FOLDER, SCHEMA, SHIPPED

FINE = '@id("fine") permit (principal, action, resource);'
HEAD = "permit (principal, action, resource)"


def problems(documents: dict[str, bytes]) -> str:
    with pytest.raises(PolicyError) as caught:
        from_documents(documents)
    return str(caught.value)


def wrong(text: str) -> str:
    return problems({"schema.cedarschema": SCHEMA, "own.cedar": text.encode()})


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    (
        (f"{FINE}\n\n{HEAD};", "policy 2 (line 3)", "has no @id"),
        (f"@id {HEAD};", "policy 1 (line 1)", "has no @id"),
        (f'@id("") {HEAD};', "policy 1", "is not like"),
        (f'@id("Über uns") {HEAD};', "policy 1", "is not like"),
        (f"{FINE}\n{FINE}", "policy fine (line 2)", "taken by own.cedar, line 1"),
        (f'@id("x") @id("y") {HEAD};', "policy 1", "duplicate annotation"),
        (f'@id("x") @owner("me") {HEAD};', "policy x", "@owner is not an annotation"),
        (f'@id("x") @quorum("lots") {HEAD};', "policy x", "'lots' is not like"),
        (f'@id("x") @quorum {HEAD};', "policy x", "is not like"),
        (f'@id("x") @veto("soon") @quorum("nobody") {HEAD};', "policy x", "not a time"),
        ('@id("x") @quorum("1 anyone") forbid (principal, action, resource);', "x", "forbid"),
        (f'@id("x") @reason("why") {HEAD};', "policy x", "full stop"),
        (f'{FINE}\n@id("x")\n{HEAD} when {{ context.frozn }};', "policy x (line 2)", "`frozn`"),
        (f'@id("x") {HEAD} when {{ context.risk == "2" }};', "policy x", "types"),
        (f'@id("x") {HEAD} when {{ principal.guest }};', "policy x", "`guest`"),
        ('@id("x") permit (principal is Persn, action, resource);', "policy x", "Persn"),
        ('@id("x") permit (principal, action == Action::"reed", resource);', "x", "reed"),
        ('@id("x") permit (principal == ?principal, action, resource);', "1", "template"),
        (f"{FINE}\n{HEAD[:-1]};", "policy 2 (line 2)", "unexpected token"),
        (f'{FINE}\n@id("x") {HEAD}', "policy 2 (line 2)", "unexpected end"),
        (";", "policy 1", "unexpected token"),
        (f"{FINE} garbage", "policy 2", "unexpected"),
        (f'@id("x") @reason("unclosed) {HEAD};', "policy 1", ""),
        (f"{FINE}\0", "policy 2", ""),
        (f"\ufeff{FINE}", "policy 1", ""),
        (f'@id("x") {HEAD} when {{ {"(" * 5000}true{")" * 5000} }};', "1", "nested deeper"),
        (f'@id("x") {HEAD} when {{ {"[" * 5000}1{"]" * 5000} == 1 }};', "1", "nested deeper"),
        (f'@id("x") {HEAD} when {{ {"(1>" * 3000} }};', "1", "nested deeper"),
        (f'@id("x") {HEAD} when {{ {"if true then false else " * 600} true }};', "1", "deeper"),
        (f'@id("x") {HEAD} when {{ true{" && true" * 5000} }};', "policy 1", "longer than"),
        (f'@id("x") {HEAD} when {{ true{" && true" * 200} }};', "policy 1", "JSON"),
        ("", "own.cedar", "holds no policy"),
        ("// nothing yet\n", "own.cedar", "holds no policy"),
    ),
)
def test_a_mistake_is_named_with_its_file_place_and_reason(
    text: str, where: str, reason: str
) -> None:
    told = wrong(text)
    assert "own.cedar" in told
    assert where in told
    assert reason in told
    assert "policy0" not in told


def test_all_mistakes_are_told_at_once() -> None:
    told = problems(
        {
            "schema.cedarschema": SCHEMA,
            "a.cedar": f'{HEAD};\n@id("b") {HEAD} when {{ context.x }};'.encode(),
            "b.cedar": f'@id("c") @quorum("?") {HEAD};\n{FINE} {FINE}'.encode(),
            "c.cedar": b"\xff",
            "notes.txt": b"",
        }
    )
    assert told.startswith("6 problems in the policies\n")
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == [
        "a.cedar, policy 1 (line 1)",
        "a.cedar, policy b (line 2)",
        "b.cedar, policy c (line 1)",
        "b.cedar, policy fine (line 2)",
        "c.cedar",
        "notes.txt",
    ]


def test_an_id_is_taken_across_files() -> None:
    told = problems(
        {"schema.cedarschema": SCHEMA, "a.cedar": FINE.encode(), "b.cedar": FINE.encode()}
    )
    assert "b.cedar, policy fine (line 1): @id is taken by a.cedar, line 1" in told


@pytest.mark.parametrize(
    ("schema", "reason"),
    (
        (b"entity Person", "unexpected end"),
        (SCHEMA.replace(b"hour: Long", b"hour: Hours"), "failed to resolve"),
        (SCHEMA.replace(b"entity Assistant;", b""), "failed to resolve"),
        (SCHEMA.replace(b"  half_open: Bool,", b""), "does not know what is asked"),
        (SCHEMA.replace(b"  hour: Long, ", b"  hour: Long, moon: Bool,"), "does not know"),
        (SCHEMA.replace(b"guest: Bool", b"guest: Long"), "does not know what is asked"),
        (SCHEMA.replace(b"tier: Long, ", b""), "does not know what is asked"),
        (SCHEMA.replace(b"read, mutate, destroy", b"read, mutate"), "does not know"),
        (b"type A = " + b"Set<" * 5000 + b"Long" + b">" * 5000 + b";", "nested deeper"),
        (b"\xfe", "not UTF-8"),
    ),
)
def test_a_schema_that_does_not_fit_is_found_when_it_is_loaded(schema: bytes, reason: str) -> None:
    told = problems({"schema.cedarschema": schema, "own.cedar": FINE.encode()})
    assert "schema.cedarschema" in told
    assert reason in told


def test_an_empty_schema_knows_nothing() -> None:
    told = problems({"schema.cedarschema": b"", "own.cedar": FINE.encode()})
    assert "own.cedar, policy fine (line 1): unable to find an applicable action" in told


def test_there_is_one_schema() -> None:
    assert "schema.cedarschema: is missing" in problems({"own.cedar": FINE.encode()})
    both = {"schema.cedarschema": SCHEMA, "schema.cedarschema.json": b"{}"}
    assert "keep one" in problems({**both, "own.cedar": FINE.encode()})


def test_without_a_policy_there_is_nothing_to_load() -> None:
    assert "there is no policy" in problems({"schema.cedarschema": SCHEMA})
    assert "there is no policy" in problems({})


def test_a_document_of_endless_length_is_not_read() -> None:
    told = wrong("//" + "x" * 300_000)
    assert "own.cedar: is larger than 262144 bytes" in told


def test_a_folder_is_loaded_as_its_documents(tmp_path: Path) -> None:
    for name, content in SHIPPED.documents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "README.md").write_text("for people")
    (tmp_path / ".#people.cedar").write_text("an editor's")
    assert load(tmp_path).digest == SHIPPED.digest
    assert from_documents(SHIPPED.documents).digest == SHIPPED.digest


def test_a_policy_that_would_be_overlooked_is_found(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "own.cedar").write_text(FINE)
    with pytest.raises(PolicyError, match=r"more/own\.cedar: is in a subfolder"):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "own.cedar").mkdir()
    with pytest.raises(PolicyError, match=r"own\.cedar: cannot be read"):
        load(tmp_path)


def test_a_folder_that_is_missing_allows_nothing(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no policy"):
        load(tmp_path / "missing")


@given(st.data())
def test_any_changed_byte_changes_the_digest(data: st.DataObject) -> None:
    """A byte of a comment is taken, so that what results can be loaded."""
    name = data.draw(st.sampled_from(sorted(SHIPPED.documents)))
    content = bytearray(SHIPPED.documents[name])
    comment = content.index(b"// ") + 3
    place = data.draw(st.integers(comment, content.index(b"\n", comment) - 1))
    content[place] = data.draw(st.integers(0x21, 0x7E).filter(lambda b: b != content[place]))
    other = from_documents({**SHIPPED.documents, name: bytes(content)})
    assert other.digest != SHIPPED.digest
    assert (other.schema_digest != SHIPPED.schema_digest) == (name == "schema.cedarschema")


def test_a_renamed_document_has_another_digest() -> None:
    documents = dict(SHIPPED.documents)
    documents["persons.cedar"] = documents.pop("people.cedar")
    assert from_documents(documents).digest != SHIPPED.digest


def test_the_documents_cannot_be_changed_afterwards() -> None:
    documents = dict(SHIPPED.documents)
    policy = from_documents(documents)
    documents.clear()
    assert policy.documents == SHIPPED.documents
    with pytest.raises(TypeError):
        policy.documents["x.cedar"] = b""  # type: ignore[index]


def test_a_semicolon_in_a_text_or_a_comment_ends_no_policy() -> None:
    text = f"""// one; two
    @id("x") @reason("Semicolons; \\"; quoted; stay.") {HEAD}
    when {{ context.runbook like "a;*" }}; // three;
    {FINE} // the end;"""
    found = list(statements("own.cedar", text))
    assert [(s.number, s.line) for s in found] == [(1, 2), (2, 4)]
    policy = from_documents({"schema.cedarschema": SCHEMA, "own.cedar": text.encode()})
    assert policy.rules["x"].reason == 'Semicolons; "; quoted; stay.'


@pytest.mark.parametrize("end", ("\r", "\r\n", "\n"))
def test_a_comment_ends_where_cedar_ends_it(end: str) -> None:
    """A policy after a lone carriage return is no comment for Cedar, so it is none here."""
    text = f'// note{end}@id("x") {HEAD};{FINE}'
    policy = from_documents({"schema.cedarschema": SCHEMA, "own.cedar": text.encode()})
    assert policy.rules.keys() == {"x", "fine"}


@given(st.text(st.sampled_from('permit(){}[]<>;"\\/ \n\r@ifx.,=')))
def test_any_text_is_loaded_or_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        from_documents({"schema.cedarschema": SCHEMA, "own.cedar": text.encode()})


def test_the_shipped_folder_holds_nothing_that_is_not_read() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {*SHIPPED.documents, "README.md"}
