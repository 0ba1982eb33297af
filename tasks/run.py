"""A run: find the granules, skip what is done, spread the rest, commit as it comes, say what became of each."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pandas as pd
from odc.geo.geobox import GeoBox

from ssc.errors import DataError, GranuleNameError, TransientError
from ssc.granules import Granule, find, parse
from ssc.ledger import Entry, Status
from ssc.pools import plan_pools
from ssc.provenance import run_record
from ssc.rasters import grid_of
from ssc.results import Store, open_store
from ssc.tiles import resolve
from tasks.job import Job, Work, open_masker, open_reaches, open_regressor
from tasks.outcome import Outcome
from tasks.spread import Spread

Progress = Callable[[Outcome, int, int], None]
"""Called with each outcome, how many are done and how many there are."""


@dataclass(kw_only=True)
class Summary:
    """What a run did; `exit_code` is the command line's."""

    store: str
    statuses: Counter[str] = field(default_factory=Counter)
    """Granules by status, without those that were done before."""
    done_before: int = 0
    """Granules skipped because the store holds their result for the same settings."""
    reach_rows: int = 0
    """Rows of this run, one per reach and granule."""
    estimates: int = 0
    """Rows with an SSC value."""
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    set_aside: dict[str, str] = field(default_factory=dict)
    """Reason by granule."""
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.statuses[outcome.status] += 1
        self.reach_rows += outcome.n_reaches
        self.estimates += outcome.n_estimated
        if outcome.status is Status.SET_ASIDE:
            self.set_aside[outcome.granule] = outcome.reason

    @property
    def exit_code(self) -> int:
        """0 done, 3 done with granules set aside."""
        return 3 if self.set_aside else 0

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**self.__dict__, "statuses": dict(self.statuses), "exit_code": self.exit_code}


def gather_granules(paths: Sequence[str]) -> tuple[list[Granule], dict[str, str]]:
    """Granules at some locations, ordered by name, and the reason for every HLS-like file that is none.

    Raises:
        InputError: A location holds no granule at all.
    """
    granules: dict[str, Granule] = {}
    strays: dict[str, str] = {}
    for path in paths:
        granules |= {granule.name: granule for granule in find(path)}
        strays |= _strays(path)
    return [granules[name] for name in sorted(granules)], strays


def _strays(path: str) -> dict[str, str]:
    """Files that call themselves HLS but do not carry an HLS name."""
    if "://" in path or not Path(path).is_dir():
        return {}
    found = {}
    for file in sorted(Path(path).rglob("HLS.*.tif")):
        try:
            parse(file)
        except GranuleNameError as error:
            found[file.name] = str(error)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a run is asked to do."""

    paths: tuple[str, ...]
    """Granule folders, files, or https:// and s3:// granule locations."""
    job: Job
    store: str
    workers: int = 2
    commit_every: int = 8
    redo: bool = False
    """Do again what the store already holds for the same settings."""


def run(request: Request, spread: Spread, progress: Progress = lambda *_: None) -> Summary:
    """Estimate all granules of a request into its store; what is ready is committed even when the run must stop.

    Raises:
        InputError: Nothing to do it with: no granule, no reach, unknown masker or regressor.
        AccessError: A service refuses us.
    """
    started = datetime.now(UTC)
    granules, strays = gather_granules(request.paths)
    store = _prepare(request)
    todo = share_out(granules, request, store)
    summary = Summary(store=request.store, done_before=len(granules) - len(todo))
    outcomes = chain(
        (Outcome.set_aside(name, reason) for name, reason in strays.items()),
        spread(request.job, todo, request.workers),
    )
    pending: list[Outcome] = []
    try:
        for number, outcome in enumerate(outcomes, start=1):
            pending.append(outcome)
            progress(outcome, number, len(todo) + len(strays))
            if len(pending) >= request.commit_every:
                _commit(store, request.job, pending, summary)
    finally:
        _commit(store, request.job, pending, summary)
        summary.seconds = (datetime.now(UTC) - started).total_seconds()
        settings = {"job": request.job, "workers": request.workers, "redo": request.redo}
        store.write_run(run_record(arguments=sys.argv, settings=settings, counts=summary.as_dict(), started=started))
    return summary


def share_out(granules: Sequence[Granule], request: Request, store: Store) -> list[Work]:
    """The work of each granule, without what the store holds already for the same settings and duty."""
    job = request.job
    by_name = {granule.name: granule for granule in granules}
    works = []
    for name, duty in plan_pools(granules, open_reaches(job.reaches), _grids(granules)).items():
        partners = sorted({partner for _, team in duty.pooled for partner in team})
        works.append(Work(granule=by_name[name], duty=duty, partners=tuple(by_name[partner] for partner in partners)))
    done = {} if request.redo else store.ledger.done(job.masker, job.regressor)
    return [work for work in works if done.get(work.granule.name) != work.hash(job)]


def _grids(granules: Sequence[Granule]) -> dict[str, GeoBox]:
    """Actual grid of each tile, from one readable header; a single tile needs none, since nothing is shared out.

    A header that does not read is no reason to stop here: the granule's own task will say so.
    """
    grids: dict[str, GeoBox] = {}
    if len({granule.tile for granule in granules}) < 2:
        return grids
    for granule in granules:
        if granule.tile not in grids:
            with suppress(DataError, TransientError):
                grids[granule.tile] = grid_of(granule)
    return grids


def _prepare(request: Request) -> Store:
    """Open all that could be wrong with the request before any work, then the store."""
    reaches = open_reaches(request.job.reaches)
    open_masker(request.job.masker, request.job.dem)
    open_regressor(request.job.regressor)
    store = open_store(request.store, create=True)
    store.write_reaches(reaches.table)
    return store


def _commit(store: Store, job: Job, pending: list[Outcome], summary: Summary) -> None:
    """Write rows, then the ledger: a kill in between only means that these granules are done again."""
    rows = [outcome.rows for outcome in pending if not outcome.rows.empty]
    if rows:
        written = store.write(pd.concat(rows, ignore_index=True), resolve=resolve)
        summary.inserted += written.inserted
        summary.updated += written.updated
        summary.unchanged += written.unchanged
    if pending:
        store.ledger.write([_entry(job, outcome) for outcome in pending])
    for outcome in pending:
        summary.add(outcome)
    pending.clear()


def _entry(job: Job, outcome: Outcome) -> Entry:
    return Entry(
        granule_id=outcome.granule,
        masker=job.masker,
        regressor=job.regressor,
        status=outcome.status.value,
        reason=outcome.reason,
        n_reaches=outcome.n_reaches,
        n_estimated=outcome.n_estimated,
        settings_hash=outcome.hash,
        seconds=outcome.seconds,
    )
