"""A run killed at any moment, and run again, ends in the same table as one that was left alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pandas as pd

from ssc.granules import find
from ssc.results import open_store

KILLS = 10


def command(basin, store, *more: str) -> list[str]:
    paths = ["estimate", str(basin.granules), "--reaches", str(basin.reaches), "--out", str(store)]
    return [sys.executable, "-m", "flows.cli", *paths, "--engine", "local", *more]


def seconds_of(arguments: list[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def test_ten_kills_end_in_the_same_table(basin, tmp_path):
    environment = {**os.environ, "SSC_COMMIT_EVERY": "1", "SSC_WORKERS": "1"}
    duration = seconds_of(command(basin, tmp_path / "left-alone"), environment)
    moments = random.Random(1)
    killed = 0
    while killed < KILLS:
        within = moments.uniform(0.4, 0.95) * duration
        run = subprocess.Popen(
            command(basin, tmp_path / "killed", "--redo"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            run.communicate(timeout=within)
            duration = within  # it ended by itself: aim earlier
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            killed += 1
    subprocess.run(command(basin, tmp_path / "killed"), env=environment, check=True, capture_output=True)
    expected, found = open_store(tmp_path / "left-alone"), open_store(tmp_path / "killed")
    pd.testing.assert_frame_equal(found.query(), expected.query())
    assert sorted(found.ledger.read()["granule_id"]) == [granule.name for granule in find(basin.granules)]
