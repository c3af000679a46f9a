"""Run all benchmarks and print one table. Takes minutes.

    python -m tests.benchmarks

`search_table` needs the shared data and `search_speed` its peers, so they run on their own.
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
