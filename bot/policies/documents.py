"""Policy documents: read, checked against the schema, and refused with every mistake at once.

A policy that is wrong must not wait for the night it is needed to say so:
what Cedar would skip (a mistyped attribute), what nobody could name in a record
(no id) and what could not be fulfilled (an unreadable obligation) all stop the
whole bundle from being taken over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from re import compile as pattern

from cedarpy import PolicySet, Schema, policies_to_json_str, validate_policies

from bot.domain.actions import JSON
from bot.domain.canonical import digest
from bot.domain.errors import TocsinError
from bot.policies.obligations import Rule, Unclear, rule
from bot.policies.statements import Statement, excess, statements

POLICIES = ".cedar"
SCHEMAS = ("schema.cedarschema", "schema.cedarschema.json")
ANNOTATIONS = frozenset({"id", "quorum", "veto", "reason"})
LARGEST = 262_144  # bytes of one document
_REPEATED = pattern(r"^for policy `policy0`, | (for|with) Action::\"[^\"]*\"")
_ID = pattern(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One mistake: in which document, where in it (a policy's id or position), and why."""

    file: str
    where: str = ""
    reason: str

    def __str__(self) -> str:  # type: ignore[explicit-override]  # not in 3.11's typing
        return f"{self.file}{f', {self.where}' if self.where else ''}: {self.reason}"


class PolicyError(TocsinError):
    """Policies that cannot be used; nothing of them was taken over."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        count = len(self.problems)
        title = f"{count} problem{'' if count == 1 else 's'} in the policies"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Checked policies: as Cedar evaluates them, and what they oblige to, by id."""

    documents: Mapping[str, bytes]
    policies: PolicySet
    schema: Schema
    rules: Mapping[str, Rule]
    digest: str
    schema_digest: str


@dataclass(frozen=True, kw_only=True)
class _Policy:
    """One policy under its id: in Cedar's JSON, with its obligations, and where it stands."""

    rule: Rule
    form: JSON
    statement: Statement

    @property
    def where(self) -> str:
        return f"policy {self.rule.id} (line {self.statement.line})"

    def problem(self, reason: str) -> Problem:
        return Problem(file=self.statement.file, where=self.where, reason=reason)


def read(folder: Path) -> Mapping[str, bytes]:
    """Return a folder's documents. Files whose name begins with a dot are an editor's.

    Raises:
        PolicyError: a file cannot be read, or is in a place where none is read.
    """
    documents: dict[str, bytes] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith(".") or not (path.suffix == POLICIES or path.name in SCHEMAS):
            continue
        if path.parent != folder:
            problems.append(Problem(file=name, reason="is in a subfolder, which is not read"))
            continue
        try:
            documents[name] = path.read_bytes()
        except OSError as error:
            problems.append(Problem(file=name, reason=f"cannot be read: {error.strerror}"))
    if problems:
        raise PolicyError(problems)
    return documents


def check(documents: Mapping[str, bytes]) -> Bundle:
    """Check documents by name and return them ready for decisions.

    Raises:
        PolicyError: naming every mistake.
    """
    problems: list[Problem] = []
    texts = dict(_texts(documents, problems))
    schema, schema_name = _schema(texts, problems)
    policies = [p for name in sorted(texts) for p in _policies(name, texts[name], problems)]
    problems.extend(_repeated(policies))
    for policy in policies if schema else ():
        problems.extend(_invalid(policy, schema))
    if not any(name.endswith(POLICIES) for name in documents):
        problems.append(Problem(file="*.cedar", reason="there is no policy, so nothing is allowed"))
    if problems or schema is None:
        raise PolicyError(problems)
    return Bundle(
        documents=dict(documents),
        policies=_set({policy.rule.id: policy.form for policy in policies}),
        schema=schema,
        rules={policy.rule.id: policy.rule for policy in policies},
        digest=digest({name: sha256(content).hexdigest() for name, content in documents.items()}),
        schema_digest=sha256(documents[schema_name]).hexdigest(),
    )


def one_line(error: object) -> str:
    """Return an error's text on one line of bearable length."""
    return " ".join(str(error).split())[:400]


def _texts(documents: Mapping[str, bytes], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for name, content in documents.items():
        if not (name.endswith(POLICIES) or name in SCHEMAS):
            problems.append(Problem(file=name, reason=f"is neither *{POLICIES} nor {SCHEMAS[0]}"))
        elif len(content) > LARGEST:
            problems.append(Problem(file=name, reason=f"is larger than {LARGEST} bytes"))
        else:
            try:
                yield name, content.decode()
            except UnicodeDecodeError as error:
                reason = f"is not UTF-8 at byte {error.start}"
                problems.append(Problem(file=name, reason=reason))


def _schema(texts: Mapping[str, str], problems: list[Problem]) -> tuple[Schema | None, str]:
    names = [name for name in SCHEMAS if name in texts]
    if len(names) != 1:
        wrong = "is missing" if not names else f"stands beside {SCHEMAS[1]}; keep one of them"
        problems.append(Problem(file=SCHEMAS[0], reason=wrong))
        return None, ""
    name, text = names[0], texts[names[0]]
    parse = Schema.from_json_str if name.endswith(".json") else Schema.from_str
    try:
        much = excess(text, brackets="()[]{}<>", longest=LARGEST)
        if much is not None:
            raise Unclear(much)
        return parse(text), name
    except ValueError as error:
        problems.append(Problem(file=name, reason=one_line(error)))
        return None, name


def _policies(name: str, text: str, problems: list[Problem]) -> Iterator[_Policy]:
    if name in SCHEMAS:
        return
    found = list(statements(name, text))
    if not found:
        problems.append(Problem(file=name, reason="holds no policy; delete it if that is meant"))
    for statement in found:
        where = statement.where
        try:
            form = _parsed(statement)
            annotations = form.get("annotations", {})
            id = _id(annotations)
            where = f"policy {id} (line {statement.line})"
            yield _Policy(rule=_rule(id, form, annotations), form=form, statement=statement)
        except ValueError as error:
            problems.append(Problem(file=name, where=where, reason=one_line(error)))


def _parsed(statement: Statement) -> dict[str, JSON]:
    much = excess(statement.text)
    if much is not None:
        raise Unclear(much)
    found = json.loads(policies_to_json_str(statement.text))
    if found["templates"]:
        raise Unclear("is a template, and nothing here links templates")
    if len(found["staticPolicies"]) != 1:
        raise Unclear("is not exactly one policy")
    (form,) = found["staticPolicies"].values()
    _set({"only": form})
    return dict(form)


def _id(annotations: Mapping[str, str | None]) -> str:
    id = annotations.get("id")
    if id is None:
        raise Unclear("has no @id, so no record could name it")
    if _ID.fullmatch(id) is None:
        raise Unclear(f"@id {id!r:.80} is not like grave-incident (lower case, 64 characters)")
    return id


def _rule(id: str, form: JSON, annotations: Mapping[str, str | None]) -> Rule:
    unknown = sorted(annotations.keys() - ANNOTATIONS)
    if unknown:
        known = ", ".join(f"@{name}" for name in sorted(ANNOTATIONS))
        raise Unclear(f"@{unknown[0]:.80} is not an annotation known here ({known})")
    written = {name: text or "" for name, text in annotations.items()}
    return rule(id, written, permits=form["effect"] == "permit")


def _repeated(policies: Iterable[_Policy]) -> Iterator[Problem]:
    first: dict[str, _Policy] = {}
    for policy in policies:
        other = first.setdefault(policy.rule.id, policy).statement
        if other is not policy.statement:
            yield policy.problem(f"@id is taken by {other.file}, line {other.line}")


def _invalid(policy: _Policy, schema: Schema | None) -> Iterator[Problem]:
    """Validate one policy in Cedar's strict mode; it goes by the name policy0 there.

    Cedar repeats itself for every action; once is enough for people.
    """
    if schema is None:
        return
    errors = validate_policies(policy.statement.text, schema).errors
    yield from dict.fromkeys(policy.problem(_REPEATED.sub("", one_line(e.error))) for e in errors)


def _set(forms: Mapping[str, JSON]) -> PolicySet:
    """Return policies under the ids they are given, not under their positions.

    Raises:
        ValueError: Cedar cannot take them over.
    """
    whole = {"staticPolicies": forms, "templates": {}, "templateLinks": []}
    return PolicySet.from_json_str(json.dumps(whole))
