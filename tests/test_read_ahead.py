"""Reading ahead: the same observations in the same order, one thread at the reader, failures passed on."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ssc.bands import SIX
from ssc.corridor import draw_corridor
from ssc.errors import DataError
from ssc.granules import find
from ssc.observation import Window
from ssc.pixels import gather_pixels, pool
from ssc.rasters import open_granule
from ssc.reaches import read_reaches
from tasks.granule import read_ahead, read_corridor
from tasks.job import Job, Selection, open_masker
from tiny import write_granule

WINDOWS = [Window(row=row, col=0, height=16, width=64) for row in (0, 16, 32, 48)]


class Watched:
    """A reader that notes its calls, refuses a second one while one runs, and may fail."""

    def __init__(self, reader, fails_at=None):
        self.reader, self.fails_at = reader, fails_at
        self.calls, self.threads = [], set()
        self.busy = threading.Lock()

    def read(self, bands, window):
        assert self.busy.acquire(blocking=False), "two threads at one reader"
        try:
            self.calls.append(window)
            self.threads.add(threading.get_ident())
            if len(self.calls) - 1 == self.fails_at:
                raise DataError("truncated")
            return self.reader.read(bands, window)
        finally:
            self.busy.release()


@pytest.fixture
def reader(tmp_path):
    with open_granule(write_granule(tmp_path, size=64), threads=2) as opened:
        yield opened


def test_every_window_comes_once_and_in_order(reader):
    watched = Watched(reader)
    found = list(read_ahead(watched, WINDOWS))
    assert [each.window for each in found] == watched.calls == WINDOWS
    for each in found:
        assert (each.reflectance == reader.read(SIX, each.window).reflectance).all()
    assert threading.get_ident() not in watched.threads
    assert len(watched.threads) == 1
    assert list(read_ahead(watched, [])) == []


def test_the_next_window_is_asked_for_before_this_one_is_worked_on(reader):
    started = threading.Event()

    class Telling(Watched):
        def read(self, bands, window):
            if window == WINDOWS[1]:
                started.set()
            return super().read(bands, window)

    with closing(read_ahead(Telling(reader), WINDOWS)) as observations:
        assert next(observations).window == WINDOWS[0]
        assert started.wait(timeout=30), "the second window is not read while the first is worked on"


def test_a_failed_read_comes_out_where_its_window_is_due_and_ends_reading(reader):
    watched = Watched(reader, fails_at=1)
    observations = read_ahead(watched, WINDOWS)
    assert next(observations).window == WINDOWS[0]
    with pytest.raises(DataError, match="truncated"):
        next(observations)
    assert len(watched.calls) == 2


def test_closed_early_it_leaves_no_thread_at_the_reader(reader):
    watched = Watched(reader)
    with closing(read_ahead(watched, WINDOWS)) as observations:
        next(observations)
    assert watched.busy.acquire(blocking=False)
    assert len(watched.calls) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_pixels_are_those_of_reading_one_window_after_the_other(basin):
    """Blocks of 32 px instead of 256, so that there are several windows on so small a tile."""
    job = Job(reaches=Selection(path=str(basin.reaches)), masker="legacy-fmask", regressor="physical")
    masker, rule = open_masker(job.masker, None), job.clear
    with open_granule(find(basin.granules)[0]) as opened:
        opened.facts = replace(opened.facts, block=(32, 32))
        reaches = read_reaches(basin.reaches)
        corridor = draw_corridor(reaches, opened.facts.geobox).only(reaches.ids[[2, 7, 9]])  # far from each other
        cores = corridor.windows(opened.facts.block, rule.halo)
        found, angles, parts = read_corridor(job, opened, corridor), opened.angles(), []
        for core in cores:
            observation = opened.read(SIX, core.padded(rule.halo, tuple(opened.facts.geobox.shape)))
            parts.append(gather_pixels(observation, masker(observation), corridor, core, angles, rule))
    expected = pool(parts)
    assert len(cores) == 3
    assert len(expected) > 100
    for name in ("reach", "node", "state", "easting", "northing", "reflectance"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
