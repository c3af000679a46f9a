"""Measure how fast search is, from one vector to a whole query, beside its peers.

    python -m tests.benchmarks.search_speed [--sizes 1000,10000,100000,1000000] [--peers]
                                            [--only whole,nearest,words,updates,starts]
                                            [--largest-graph 100000]

The encoder has two threads, everything else one, on the machine as it is; what else runs on it
stretches them, so compare figures of one run only. Where rounds are repeated the
best counts. `cpu` is processor time, which a busy neighbour stretches least. The
peers' graphs are kept between runs in the temporary folder, with the time that
building them took: some minutes each for a million vectors on two idle cores, and
many more on busy ones, which `--largest-graph` spares. A million documents need
some 12 GB.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from bot.search.encoder import limit_native_threads

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PARTS = ("whole", "nearest", "words", "updates", "starts")

_QUERIES = 620  # three rounds of 200, and 20 to warm up
_REAL = (1_000, 10_000)
_UPDATED = 10_000
_STARTED = 10_000


def main() -> None:
    """Print each part as it is measured."""
    parser = argparse.ArgumentParser(description="Measure how fast search is.")
    parser.add_argument("--sizes", type=_numbers, default=SIZES)
    parser.add_argument("--peers", action="store_true", help="measure the peers, too")
    parser.add_argument("--only", type=_names, default=PARTS)
    parser.add_argument("--largest-graph", type=int, default=max(SIZES), metavar="VECTORS")
    arguments = parser.parse_args()
    limit_native_threads()
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "whole": lambda: whole(arguments.sizes),
        "nearest": lambda: nearest(
            arguments.sizes, with_peers=arguments.peers, largest_graph=arguments.largest_graph
        ),
        "words": lambda: words(arguments.sizes, with_peers=arguments.peers),
        "updates": updates,
        "starts": starts,
    }
    for name in arguments.only:
        started = time.perf_counter()
        for line in parts[name]():
            _say(line)
        _say(f"({name}: {time.perf_counter() - started:.0f} s)\n")


def whole(sizes: Sequence[int]) -> Iterator[str]:
    """Measure whole queries through `find`, stage by stage, in milliseconds."""
    from tests.benchmarks import search_material, search_whole

    yield "Whole queries in ms, encoding included (goal at 100,000: p99 <= 20)"
    yield search_whole.heading()
    for size in sizes:
        made, found = search_whole.run(
            search_material.documents(size), search_material.queries(_QUERIES)
        )
        yield search_whole.line(f"{size:,}", found)
        yield f"{'':16}indexed in {made.indexed:.1f} s, upkeep {made.kept_up:.1f} s"
    if reason := search_material.why_no_real_text():
        yield f"real text is left out: {reason}"
        return
    for size in _REAL:
        documents = search_material.real_documents(size)
        _, found = search_whole.run(iter(documents), search_material.real_queries()[:_QUERIES])
        yield search_whole.line(f"real {len(documents):,}", found)


def nearest(sizes: Sequence[int], *, with_peers: bool, largest_graph: int) -> Iterator[str]:
    """Measure the vectors' index beside its peers at equal recall."""
    from tests.benchmarks import search_nearest

    present, missing = _present(search_nearest.PEERS, search_nearest.why_missing)
    yield from missing if with_peers else ()
    for size in sizes:
        yield from search_nearest.measure(
            size, with_peers=present if with_peers else (), largest_graph=largest_graph
        )


def words(sizes: Sequence[int], *, with_peers: bool) -> Iterator[str]:
    """Measure the words' index beside its peers."""
    from tests.benchmarks import search_words

    present, missing = _present(search_words.PEERS, search_words.why_missing)
    yield from missing if with_peers else ()
    for size in sizes:
        yield from search_words.measure(size, with_peers=present if with_peers else ())


def updates() -> Iterator[str]:
    """Measure queries while documents change."""
    from tests.benchmarks import search_updates

    yield f"Changes among {_UPDATED:,} documents while queries go on"
    yield from map(str, search_updates.measure(_UPDATED))


def starts() -> Iterator[str]:
    """Measure fresh processes."""
    from tests.benchmarks import search_starts

    yield f"Starts with {_STARTED:,} documents (goals: first answer <= 1 s, by meaning <= 3 s)"
    for where, start in search_starts.measure(_STARTED).items():
        yield f"  vectors in the {where:8} {start}"


def _present(
    names: Sequence[str], why_missing: Callable[[str], str]
) -> tuple[tuple[str, ...], list[str]]:
    """Part the peers that are there from the reasons why others are not."""
    reasons = [f"left out: {reason}" for name in names if (reason := why_missing(name))]
    return tuple(name for name in names if not why_missing(name)), reasons


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return names


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
