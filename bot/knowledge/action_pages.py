"""A page for each action: what it does and takes, how risky it is, and how it is taken back.

It is made from what the plugin offers: the docstring of the action's handler,
its JSON Schema and its entry in the registry, so that it cannot say other than
the code does.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping

from bot.domain.actions import JSON, Action, Effect

MARK = "<!-- Made by `tocsin knowledge actions --into docs/actions`; edit the plugin instead. -->"


def pages(actions: Mapping[str, Action], plugins: Mapping[str, str]) -> Mapping[str, str]:
    """Return the text of every page by its file's name, and of an index of them."""
    ordered = sorted(actions.values(), key=lambda a: (a.name, a.version))
    made = {_file(action): "\n".join(_page(action, plugins)) + "\n" for action in ordered}
    return {"README.md": "\n".join(_index(ordered, plugins)) + "\n", **made}


def _file(action: Action) -> str:
    return f"{action.name}-{action.version}.md"


def _index(ordered: list[Action], plugins: Mapping[str, str]) -> Iterator[str]:
    yield from (MARK, "", "# Actions", "")
    yield "What runbooks can do, and which plugin offers it. A page may raise the risk."
    yield from ("", "| action | plugin | effect | risk | what it does |", "|---|---|---|---|---|")
    for action in ordered:
        yield (
            f"| [`{action.reference}`]({_file(action)}) | {plugins.get(action.reference, '')} "
            f"| {action.effect.value} | {action.risk.name} | {_cell(action.summary)} |"
        )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _page(action: Action, plugins: Mapping[str, str]) -> Iterator[str]:
    yield from (MARK, "", f"# `{action.reference}`", "", action.summary, "")
    told = _docstring(action)
    if told:
        yield from (told, "")
    yield from ("| | |", "|---|---|")
    yield f"| plugin | `{plugins.get(action.reference, '')}` |"
    yield f"| effect | {_effect(action)} |"
    yield f"| risk | {action.risk.name}: {action.risk.meaning} |"
    yield f"| may be repeated | {'yes' if action.idempotent else 'no'} |"
    yield f"| says beforehand what it changes | {_dry_run(action)} |"
    yield f"| can be taken back | {_undo(action)} |"
    yield f"| after a crash | {_reconcile(action)} |"
    yield f"| may be retried after | {', '.join(sorted(action.transient)) or 'nothing'} |"
    yield from ("", "## Arguments", "")
    yield from _arguments(action.arguments)


def _docstring(action: Action) -> str:
    return inspect.getdoc(action.handler) or ""


def _effect(action: Action) -> str:
    if action.manual:
        return "a person does it"
    if action.waiting:
        return "waits for its verification"
    return {
        Effect.READ: "reads only",
        Effect.MUTATE: "changes a system",
        Effect.DESTRUCTIVE: "destroys data",
    }[action.effect]


def _dry_run(action: Action) -> str:
    if action.effect is Effect.READ:
        return "it changes nothing"
    return "yes, by a dry run" if action.dry_run else "no, so its risk counts one class higher"


def _undo(action: Action) -> str:
    if action.effect is Effect.READ:
        return "it changes nothing"
    return "yes" if action.undo else "no; a step names its own `undo` or is a `commit_point`"


def _reconcile(action: Action) -> str:
    if action.effect is Effect.READ:
        return "it is asked again"
    if action.reconcile:
        return "it is looked up whether it took place"
    return "it is done again" if action.idempotent else "a person has to look"


def _arguments(schema: Mapping[str, JSON]) -> Iterator[str]:
    properties = schema.get("properties", {})
    if not properties:
        yield "None."
        return
    required = set(schema.get("required", ()))
    yield from ("| name | type | needed | meaning |", "|---|---|---|---|")
    for name, part in properties.items():
        needed = "required" if name in required else "optional"
        told = _cell(str(part.get("description", ""))) if isinstance(part, Mapping) else ""
        yield f"| `{name}` | {_type(part)} | {needed} | {told} |"
    yield from ("", "```json", json.dumps(schema, indent=2, sort_keys=True), "```")


def _type(part: JSON) -> str:
    if not isinstance(part, Mapping):
        return "anything"
    if "enum" in part:
        return "one of " + ", ".join(f"`{value}`" for value in part["enum"])
    named = part.get("type", "anything")
    words = " or ".join(named) if isinstance(named, list) else str(named)
    return f"{words} of {_type(part['items'])}" if words == "array" and "items" in part else words
