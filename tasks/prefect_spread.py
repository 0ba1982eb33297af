"""Granules as Prefect tasks: one task a granule, or one a batch when there are more than a server likes to track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.tasks import exponential_backoff

from tasks import policy
from tasks.granule import estimate_granule
from tasks.job import Job, Work
from tasks.outcome import Outcome
from tasks.spread import attempt

MOST_TASKS = 1000
"""Tasks per flow run; self-hosted servers become unstable with many more (PrefectHQ/prefect#18883)."""


@task(
    name="estimate granules",
    retries=policy.RETRIES,
    retry_delay_seconds=exponential_backoff(policy.FIRST_PAUSE_S),
    retry_jitter_factor=0.5,
    retry_condition_fn=policy.is_transient,
    cache_policy=NO_CACHE,  # the store's ledger decides what is done, Prefect only shows and schedules
    persist_result=False,
)
def estimate_batch(job: Job, batch: Sequence[Work]) -> list[Outcome]:
    """Outcomes of some granules. A single granule leaves its retries to Prefect, a batch retries one by one."""
    if len(batch) > 1:
        return [attempt(job, work) for work in batch]
    work = batch[0]
    return [policy.settle(work.granule.name, lambda: estimate_granule(job, work))]


def over_prefect(job: Job, works: Sequence[Work], workers: int) -> Iterator[Outcome]:  # noqa: ARG001
    """Granules over the task runner of the flow this is called in; its width is the flow's, not `workers`."""
    size = max(1, -(-len(works) // MOST_TASKS))
    batches = [works[start : start + size] for start in range(0, len(works), size)]
    futures = {estimate_batch.submit(job, batch): batch for batch in batches}
    for future in as_completed(list(futures)):
        answer = future.result(raise_on_failure=False)
        if isinstance(answer, BaseException):
            yield from (policy.give_up(work.granule.name, answer) for work in futures[future])
        else:
            yield from answer
