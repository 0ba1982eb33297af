"""Spreading granules over workers: plain threads, or Prefect tasks. Both yield outcomes as they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ssc.errors import TransientError
from tasks import policy
from tasks.granule import estimate_granule
from tasks.job import Job, Work
from tasks.outcome import Outcome

Spread = Callable[[Job, Sequence[Work], int], Iterator[Outcome]]
"""(job, works, workers) -> outcomes in the order they are ready."""


def attempt(job: Job, work: Work) -> Outcome:
    """The outcome of one granule, with retries; only `AccessError` and bugs are raised."""

    def once() -> Outcome:
        return policy.settle(work.granule.name, lambda: estimate_granule(job, work))

    try:
        return policy.persist(once)
    except TransientError as error:
        return policy.give_up(work.granule.name, error)


def over_threads(job: Job, works: Sequence[Work], workers: int) -> Iterator[Outcome]:
    """Granules over the threads of this process; no Prefect."""
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for future in as_completed([pool.submit(attempt, job, work) for work in works]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
