"""`tocsin search`: how good the search is, and how to teach it.

Imports nothing heavy before a command runs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bot.cli.installation import (
    Config,
    build_app,
    fail,
    read_settings,
    with_database,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.app import App
    from bot.search.encoder import Encoder
    from bot.search.ranker import Ranker
    from bot.search.training.datasets import Dataset
    from bot.search.training.evaluating import Evaluation
    from bot.search.training.judgements import Circumstances, Judged
    from bot.search.training.training import Training

commands = typer.Typer(help="How good the search is, and how to teach it.")

Result = TypeVar("Result")
Folders = Annotated[list[Path], typer.Argument(help="folders with corpus.jsonl and queries.jsonl")]


@commands.command("eval")
def evaluate_folders(
    folders: Folders,
    by: Annotated[str, typer.Option(help="compare the values of a field, such as service")] = "",
    report: Annotated[
        Path | None, typer.Option(help="write a report in Markdown, and pictures beside it")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures alone")] = False,
    signals: Annotated[bool, typer.Option("--signals", help="measure each signal alone")] = False,
    config: Config = None,
) -> None:
    """Measure the search on folders of questions with known answers.

    Uses the shipped ranker as the bot does, or that of the installation which
    --config names, and fits nothing.
    """
    datasets = _read(folders)
    encoder = _encoder(config)
    work = _evaluated(datasets, encoder, _ranker(config), by=by, names=_every() if signals else ())
    evaluations = _ended(work)
    for each in evaluations:
        _warn(each, by)
    if report is not None:
        _write_report(report, evaluations, by)
    if as_json:
        print(json.dumps(_figures(evaluations), indent=1))
        return
    from bot.search.training.reports import summary  # noqa: PLC0415

    for each in evaluations:
        print(summary(each, by=by))


@commands.command("train")
def train_ranker(
    folders: Folders,
    labels: Annotated[
        Path | None, typer.Option(help="the config.toml of an installation whose people judged")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where the ranker goes, as JSON")
    ] = None,
    config: Config = None,
) -> None:
    """Fit the ranker on folders of known answers, and on what people said of hits.

    Prints figures of questions that the rankers asked had not learned from.
    """
    datasets = _read(folders)
    encoder = _encoder(config)
    judged = _judged(labels) if labels is not None else None
    training = _ended(_trained(datasets, encoder, judged))
    if output is not None:
        _write(output, _ranker_json(training))
    from bot.search.training.accounts import account  # noqa: PLC0415

    print(account(datasets, training))


def _read(folders: Sequence[Path]) -> list[Dataset]:
    """Read the folders, or name every broken line and end with 2."""
    from bot.search.training.datasets import BadDataset, read  # noqa: PLC0415

    datasets, problems = [], []
    for folder in folders:
        try:
            datasets.append(read(folder))
        except BadDataset as error:
            problems += [str(problem) for problem in error.problems]
    names = [each.name for each in datasets]
    problems += [f"{name}: is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        fail("\n".join(problems), 2)
    return datasets


def _encoder(config: Path | None) -> Encoder:
    """Make the encoder the bot uses; each text is encoded once."""
    from bot.search.encoder import EncoderUnavailable, encoder_named  # noqa: PLC0415
    from bot.search.training.asking import OnceEncoder  # noqa: PLC0415

    settings = read_settings(config)
    cache = settings.bot.data / "cache"
    if not cache.is_dir():
        cache = Path(tempfile.gettempdir()) / "tocsin-search"
    try:
        return OnceEncoder(encoder_named(settings.search.model)(cache))
    except (EncoderUnavailable, ImportError, OSError) as error:
        fail(f"search.model: {settings.search.model} cannot be used: {error}", 1)


def _ranker(config: Path | None) -> Ranker:
    from bot.search.ranker import chosen, shipped  # noqa: PLC0415

    return shipped() if config is None else chosen(read_settings(config).bot.data / "ranker.json")


async def _evaluated(
    datasets: Sequence[Dataset],
    encoder: Encoder,
    ranker: Ranker,
    *,
    by: str,
    names: Sequence[str],
) -> list[Evaluation]:
    from bot.search.training.evaluating import evaluate  # noqa: PLC0415

    evaluations = []
    for each in datasets:
        _say(f"{each.name}: {len(each.documents)} documents, {len(each.questions)} questions")
        evaluations.append(await evaluate(each, encoder, ranker, signals=names, by=by))
    return evaluations


async def _trained(
    datasets: Sequence[Dataset], encoder: Encoder, judged: Judged | None
) -> Training:
    from bot.search.training.training import train  # noqa: PLC0415

    _say("training; encoding the documents takes the longest")
    return await train(datasets, encoder, judged=judged)


def _judged(installation: Path) -> Judged:
    """Read an installation's labels, and search its documents as its bot would."""
    from bot.search.training.judgements import Judged, judged  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(installation)))
    heard: list[Judged] = []

    async def hear() -> None:
        async with app.core.database.reading() as view:
            labels = await view.labels.all()
        _say(f"{installation}: {len(labels)} labels")
        search = app.core.search
        try:
            await search.start()
            for plugin in app.plugins:
                if plugin.name in _KEEPERS:
                    await plugin.start()
            await search.wait_until_dense()
            known = await _circumstances(app, {label.subject for label in labels})
            heard.append(await judged(labels, search, known))
        finally:
            await search.stop()

    with_database(app, hear)
    return heard[0] if heard else Judged()


async def _circumstances(app: App, subjects: Collection[str]) -> Mapping[str, Circumstances]:
    """Look up when the alerts that were searched for began, and their incidents."""
    from bot.domain.alerts import GroupId  # noqa: PLC0415
    from bot.domain.errors import NotFound  # noqa: PLC0415
    from bot.search.training.judgements import Circumstances  # noqa: PLC0415

    known: dict[str, Circumstances] = {}
    for subject in subjects:
        try:
            group = await app.core.context.alerts.get(GroupId(subject))
        except NotFound:
            continue
        own = (group.incident,) if group.incident else ()
        known[subject] = Circumstances(before=group.first_seen, without=own)
    return known


_KEEPERS = ("runbooks", "similar")  # the plugins that fill the search when they start


def _ended(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; an encoder that fails is one sentence."""
    from bot.search.training.asking import NoMeaning  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except NoMeaning as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _every() -> tuple[str, ...]:
    from bot.search.ranker import SIGNALS  # noqa: PLC0415

    return SIGNALS


def _warn(each: Evaluation, by: str) -> None:
    from bot.search.training.reports import WARNING  # noqa: PLC0415

    if each.seen:
        _say(f"{each.name}: {WARNING}")
    if by and not each.by:
        _say(f"{each.name}: no value of {by} has questions enough to be measured by itself")


def _figures(evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Return the figures of one folder, or of several by their names."""
    from bot.search.training.evaluating import figures  # noqa: PLC0415

    if len(evaluations) == 1:
        return {"variants": figures(evaluations[0])}
    return {"folders": {each.name: {"variants": figures(each)} for each in evaluations}}


def _write_report(path: Path, evaluations: Sequence[Evaluation], by: str) -> None:
    from bot.search.training.plots import reliability_plot  # noqa: PLC0415
    from bot.search.training.reports import report  # noqa: PLC0415

    plots = {}
    for each in evaluations:
        if each.overall.bins:
            plots[each.name] = f"{path.stem}-{each.name}.svg"
            picture = reliability_plot(each.overall.bins, f"Reliability on {each.name}")
            _write(path.parent / plots[each.name], picture)
    _write(path, report(evaluations, plots, by=by))


def _ranker_json(training: Training) -> str:
    from bot.search.ranker import to_json  # noqa: PLC0415

    return to_json(training.ranker) + "\n"


def _write(path: Path, text: str) -> None:
    """Put a whole file in place at once; a reader sees the old one or the new one."""
    from bot.search.training.files import replace_text  # noqa: PLC0415

    try:
        replace_text(path, text)
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}", 1)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
