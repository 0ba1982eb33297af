"""Spreading granules over workers: plain threads, or Prefect tasks. Both yield outcomes as they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ssc.errors import TransientError
from ssc.granules import Granule
from tasks import policy
from tasks.granule import Job, estimate_granule
from tasks.outcome import Outcome

Spread = Callable[[Job, Sequence[Granule], int], Iterator[Outcome]]
"""(job, granules, workers) -> outcomes in the order they are ready."""


def attempt(job: Job, granule: Granule) -> Outcome:
    """The outcome of one granule, with retries; only `AccessError` and bugs are raised."""

    def once() -> Outcome:
        return policy.settle(granule.name, lambda: estimate_granule(job, granule))

    try:
        return policy.persist(once)
    except TransientError as error:
        return policy.give_up(granule.name, error)


def over_threads(job: Job, granules: Sequence[Granule], workers: int) -> Iterator[Outcome]:
    """Granules over the threads of this process; no Prefect."""
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for future in as_completed([pool.submit(attempt, job, granule) for granule in granules]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
