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
