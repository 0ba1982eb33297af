"""Fixtures for all tests: where the shared data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and reference numbers: $SSC_SHARED, else ../shared beside the repository."""
    folder = Path(os.environ.get("SSC_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}: set SSC_SHARED to a folder with data/ and reference/")
    return folder


@pytest.fixture(scope="session")
def basin(tmp_path_factory):
    """A small simulated basin with its truth, six granules."""
    from ssc.simulate import simulate_basin

    return simulate_basin(tmp_path_factory.mktemp("basin"), granules=6, seed=3, size=320)


@pytest.fixture(scope="session")
def prefect():
    """A temporary Prefect server in its own home."""
    from config.environment import calm_prefect

    calm_prefect()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
