"""Wait until something stands in line for the index's thread."""

import time

from bot.search.engine import HybridSearch


def until_queued(search: HybridSearch, turns: int = 1) -> None:
    """Wait, on any thread but the loop's, until so many turns stand in line."""
    end = time.monotonic() + 10
    while search._indexing._work_queue.qsize() < turns:
        assert time.monotonic() < end
        time.sleep(0.001)
