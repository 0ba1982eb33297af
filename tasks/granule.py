"""One granule end to end: open, find its reaches, mask, keep clear water, aggregate, estimate.

Everything is named by value, so the same call runs in this process, in a thread or on another machine; what is costly
to open (reaches, masker, regressor) is opened once per process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pandas as pd

from ssc.aggregate import reach_samples
from ssc.bands import SIX
from ssc.corridor import Corridor, draw_corridor
from ssc.errors import DataError
from ssc.ledger import Status
from ssc.observation import Observation, Reader, Window
from ssc.pixels import ReachPixels, gather_pixels, pool
from ssc.pooling import joint_grid, pool_tiles
from ssc.provenance import code_version
from ssc.rasters import open_granule
from ssc.rows import compose_rows
from tasks.job import Job, Work, open_masker, open_reaches, open_regressor
from tasks.outcome import Outcome
from tasks.quicklooks import write_quicklook

logger = logging.getLogger(__name__)

SEEN_SHARE = 0.5
"""A granule without estimates is "cloudy" when less than this share of its channel pixels was seen, else "no_water"."""


def estimate_granule(job: Job, work: Work) -> Outcome:
    """SSC of every reach that is this granule's duty.

    Raises:
        DataError: A file of the granule is missing, broken or not what it claims.
        AccessError: A service refuses us.
        TransientError: Worth another try.
    """
    started = time.perf_counter()
    with open_granule(work.granule, threads=job.threads) as reader:
        owned = _alone(job, reader, work.duty.owned, look=job.quicklooks)
        pooled = [_together(job, reader, work, names, ids) for names, ids in work.pools().items()]
    tables = [table for table in (owned, *(rows for rows, _ in pooled)) if len(table)]
    complete = all(complete for _, complete in pooled)
    rows = pd.concat(tables, ignore_index=True) if tables else owned
    return Outcome(
        granule=work.granule.name,
        status=_status(rows),
        rows=rows.assign(code_version=code_version(), settings_hash=job.hash),
        seconds=time.perf_counter() - started,
        hash=work.hash(job) if complete else "",
    )


def _alone(job: Job, reader: Reader, reach_ids: Sequence[int], *, look: str | None = None) -> pd.DataFrame:
    """Rows of the reaches that one granule does by itself; without any, no pixel is read and nothing masked."""
    corridor = _corridor(job, reader).only(reach_ids)
    if corridor.reach_ids.size == 0 and look is None:
        return pd.DataFrame()
    return _rows(job, read_corridor(job, reader, corridor, look=look), corridor, [reader])


def _together(
    job: Job, reader: Reader, work: Work, names: Sequence[str], reach_ids: Sequence[int]
) -> tuple[pd.DataFrame, bool]:
    """Rows of the reaches that need the pixels of other tiles too, and whether those could be had.

    A partner that does not read costs its pixels, no more; the work counts as not done, so a later run tries it again.
    """
    partners = [granule for granule in work.partners if granule.name in names]
    try:
        with ExitStack() as files:
            team = [reader, *(files.enter_context(open_granule(g, threads=job.threads)) for g in partners)]
            parts = [read_corridor(job, member, _corridor(job, member).only(reach_ids)) for member in team]
    except DataError as error:
        logger.warning("granule=%s does %d reaches without its partners: %s", work.granule.name, len(reach_ids), error)
        return _alone(job, reader, reach_ids), False
    union = joint_grid([member.facts.geobox for member in team])
    corridor = draw_corridor(open_reaches(job.reaches), union, job.corridor, job.cache_folder).only(reach_ids)
    return _rows(job, pool_tiles(parts, corridor), corridor, team), True


def _corridor(job: Job, reader: Reader) -> Corridor:
    return draw_corridor(open_reaches(job.reaches), reader.facts.geobox, job.corridor, job.cache_folder)


def _rows(job: Job, pixels: ReachPixels, corridor: Corridor, readers: Sequence[Reader]) -> pd.DataFrame:
    samples = reach_samples(pixels, corridor, job.clear)
    regressor = open_regressor(job.regressor)
    return compose_rows(
        samples, readers, corridor, open_reaches(job.reaches), regressor, masker=job.masker, rule=job.clear
    )


def read_corridor(job: Job, reader: Reader, corridor: Corridor, *, look: str | None = None) -> ReachPixels:
    """Every corridor pixel of a granule with its reflectance and masks, window by window.

    Args:
        job: Masker and rules.
        reader: The open granule.
        corridor: Drawn on the granule's grid.
        look: Folder for a picture of the granule; then the whole tile is read.
    """
    masker = open_masker(job.masker, job.dem)
    halo = max(masker.halo, job.clear.halo)
    shape = (reader.facts.geobox.shape.y, reader.facts.geobox.shape.x)
    cores = corridor.windows(reader.facts.block, halo)
    if look is not None or not cores:  # without any corridor pixel one window still gives the empty answer its grid
        cores = [Window.whole(shape)] if look is not None else [Window(row=0, col=0, height=1, width=1)]
    angles = reader.angles()
    parts = []
    with closing(read_ahead(reader, [core.padded(halo, shape) for core in cores])) as observations:
        for core, observation in zip(cores, observations, strict=True):
            masks = masker(observation)
            parts.append(gather_pixels(observation, masks, corridor, core, angles, job.clear))
            if look is not None:
                write_quicklook(Path(look), observation, masks, open_reaches(job.reaches), job.clear)
    return pool(parts)


def read_ahead(reader: Reader, windows: Sequence[Window]) -> Generator[Observation, None, None]:
    """Each window in turn; the next one is read by another thread while this one is worked on.

    Until the generator is exhausted or closed the reader is not to be used: it serves one thread at a time.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        ahead: list[Future[Observation]] = []
        for window in windows:
            ready = [reading.result() for reading in ahead]
            ahead = [thread.submit(reader.read, SIX, window)]
            yield from ready
        yield from (reading.result() for reading in ahead)


def _status(rows: pd.DataFrame) -> Status:
    if rows.empty:
        return Status.NO_REACH
    if rows["ssc"].notna().any():
        return Status.ESTIMATED
    weights = rows["n_px_channel"].to_numpy(dtype=float)
    seen = rows["clear_frac"].fillna(0).to_numpy(dtype=float)
    share = float(np.average(seen, weights=weights)) if weights.sum() > 0 else 0.0
    return Status.CLOUDY if share < SEEN_SHARE else Status.NO_WATER
