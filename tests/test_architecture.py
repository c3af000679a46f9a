"""The house rules that a program can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = 450

# Where an error of any kind is caught, and why it may be: the last line of
# defence of something that must go on.
CATCH_ALL = {
    "bot/dispatcher.py": "one plugin's failure is its own",
    "bot/scheduler.py": "one job's failure is its own",
    "bot/reloading.py": "a look that breaks off is repeated, and ends nothing",
    "bot/slack/dispatch.py": "a person waits for an answer",
    "bot/web/hooks.py": "a plugin's failure must not lose a delivery",
    "bot/services/cards.py": "one plugin's failure must not cost the card",
    "bot/services/actions.py": "a handler's failure leaves the effect in doubt, never the run",
    "bot/services/registry.py": "a look that breaks off is an answer, not the end of a run",
    "bot/services/anchoring.py": "a place elsewhere fails in ways of its own, and is tried again",
    "bot/web/answers.py": "a person waits for a page",
    "bot/services/undoing.py": "an undo that cannot be worked out must not hide the effect",
    "bot/services/doubts.py": "a look that fails tells nothing, which is an answer",
    "bot/services/engine.py": "one run's failure is its own; the lease runs out",
    "bot/search/vectors.py": "kept vectors only save time, whatever the store says",
    "bot/llm/models.py": "every provider raises errors of its own",
}
# BaseException, only to clean up and raise again.
CLEAN_UP = {
    "bot/storage/groups.py",
    "bot/storage/postgres_writer.py",
    "bot/storage/writer.py",
    "bot/search/onnx_graph.py",
    "bot/demo/prometheus.py",
}
ENVIRONMENT = {
    "bot/settings.py": "the one place that reads settings",
    "bot/rehearsal.py": "starts the bot like any other installation, by its environment",
    "bot/search/encoder.py": "sets the thread count before native libraries are loaded",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("bot", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_imports_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("layer", "allowed"),
    (("domain", {"bot", "rfc8785"}), ("ports", {"bot"}), ("services", {"bot"})),
)
def test_the_inner_layers_use_no_framework(layer: str, allowed: set[str]) -> None:
    strangers = {
        f"{path} imports {name}"
        for path, tree in sources()
        if path.startswith(f"bot/{layer}/")
        for name in imported(tree)
        if name not in sys.stdlib_module_names and name not in allowed
    }
    assert strangers <= (SERVICES_MAY if layer == "services" else set())


# jsonschema checks the arguments of actions; it is a grammar, not a framework.
SERVICES_MAY = {"bot/services/registry.py imports jsonschema"}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def caught(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield "everything"
            for part in ast.walk(node.type) if node.type else ():
                if isinstance(part, ast.Name):
                    yield part.id


def test_any_error_is_caught_only_where_something_must_go_on() -> None:
    found = {path for path, tree in sources() if {"Exception", "everything"} & {*caught(tree)}}
    assert found == set(CATCH_ALL)


def test_what_catches_even_the_end_raises_again() -> None:
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
                if node.type.id != "BaseException":
                    continue
                assert path in CLEAN_UP, path
                assert any(isinstance(inner, ast.Raise) for inner in ast.walk(node)), path


def test_the_environment_is_read_in_one_place() -> None:
    names = {"environ", "getenv", "putenv"}
    found = {
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
    }
    assert found == set(ENVIRONMENT)


def test_files_can_be_read_in_one_sitting() -> None:
    long = {}
    for folder in ("bot", "plugins", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > LINES:
                long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_ports_are_imported_from_their_package() -> None:
    """Which module a port stands in is the package's own affair."""
    deep = [
        f"{path} imports {node.module}"
        for path, tree in sources()
        if not path.startswith("bot/ports/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bot.ports.")
    ]
    assert deep == []


def test_no_module_is_named_after_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
    found = [path for path, _ in sources() if {*Path(path).with_suffix("").parts} & empty]
    assert found == []


def test_every_module_class_and_public_function_of_the_bot_says_what_it_is() -> None:
    silent = [path for path, tree in sources() if tree.body and ast.get_docstring(tree) is None]
    assert silent == []


def test_no_functions_are_flagged_by_a_boolean() -> None:
    """A boolean argument hides two functions in one; settings and fields are no arguments."""
    flagged = [
        f"{path}: {node.name}({argument.arg})"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in node.args.args
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "bool"
    ]
    assert flagged == []
