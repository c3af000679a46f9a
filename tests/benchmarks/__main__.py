"""Run all benchmarks and print one table. Takes minutes.

    python -m tests.benchmarks

`search_eval` is left out, since it needs a folder of queries to be told.
"""

from tests.benchmarks import deliveries, ledger, presses, starts
from tests.benchmarks.figures import Figure, show


def main() -> None:
    """Run them one after the other, so that none disturbs another."""
    figures: list[Figure] = []
    for benchmark in (deliveries, ledger, starts, presses):
        figures += benchmark.main()
    show(figures)


if __name__ == "__main__":
    main()
