"""`ssc doctor`: what is installed, logged in and reachable. Each check runs the thing, since versions alone lie."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

from ssc.earthdata import HOST, login_source

CMR = "https://cmr.earthdata.nasa.gov/search/health"
NEEDED_GB = 10.0
"""Room for the environment's caches and a few granules of 0.2 GB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the examination."""

    what: str
    ok: bool
    needed: bool
    """Whether the main job fails without it."""
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def examine() -> list[Finding]:
    """Run every check, telling on a terminal which; none of them raises. Loading torch and Prefect takes seconds."""
    with Console(stderr=True).status("") as status:
        findings = []
        for check in _checks():
            status.update(f"checking {check.what}")
            findings.append(check.run())
        return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    what: str
    probe: Callable[[], str]
    remedy: str
    needed: bool = True

    def run(self) -> Finding:
        try:
            return Finding(what=self.what, ok=True, needed=self.needed, found=self.probe())
        except (AssertionError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            found = " ".join(f"{type(error).__name__}: {error}".split())
            return Finding(what=self.what, ok=False, needed=self.needed, found=found, remedy=self.remedy)


def _checks() -> list[_Check]:
    again = "install from requirements.lock: make test"
    pair = "torch 2.13.0 and torchvision 0.28.0 are one pair: make test"
    login = f"set EARTHDATA_TOKEN, or a netrc entry for {HOST}"
    return [
        _Check(what="python", probe=_python, remedy="use python 3.11 or 3.12"),
        _Check(what="rasters", probe=_rasters, remedy=again),
        _Check(what="results store", probe=_store, remedy=again),
        _Check(what="prefect", probe=_prefect, remedy="prefect 3.8.8 needs fastapi >=0.139,<0.155"),
        _Check(what="torch", probe=_torch, remedy=pair, needed=False),
        _Check(what="disk", probe=_disk, remedy=f"free {NEEDED_GB:.0f} GB in the working folder", needed=False),
        _Check(what="Earthdata login", probe=_login, remedy=login, needed=False),
        _Check(what="Earthdata reachable", probe=_network, remedy="local granules do without", needed=False),
    ]


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        raise RuntimeError(f"found python {platform.python_version()}")
    return platform.python_version()


def _rasters() -> str:
    import numpy as np
    import pyogrio
    import rasterio
    from rasterio.io import MemoryFile

    pixels = np.arange(16, dtype="int16").reshape(1, 4, 4)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=4,
            height=4,
            count=1,
            dtype="int16",
            compress="deflate",
            crs="EPSG:32615",
            transform=rasterio.Affine(30, 0, 0, 0, -30, 0),
        ) as out:
            out.write(pixels)
        with memory.open() as back:
            assert (back.read() == pixels).all(), "a GeoTIFF did not read back as written"
    return f"rasterio {rasterio.__version__} (GDAL {rasterio.__gdal_version__}), pyogrio {pyogrio.__version__}"


def _store() -> str:
    from ssc.results import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store", create=True)
        assert store.query().empty, "a new store is not empty"
    return f"deltalake {version('deltalake')}, pyarrow {version('pyarrow')}"


def _prefect() -> str:
    from config.environment import calm_prefect

    calm_prefect()
    import prefect
    from prefect.server.api.server import create_app

    assert callable(create_app)
    return f"prefect {prefect.__version__}, fastapi {version('fastapi')}"


def _torch() -> str:
    import torch
    from torchvision.ops import nms

    assert nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.5).tolist() == [0], "torchvision's operators do not run"
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    return f"torch {torch.__version__}, torchvision {version('torchvision')}, {device}"


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < NEEDED_GB:
        raise RuntimeError(f"{free:.1f} GB free")
    return f"{free:.0f} GB free"


def _login() -> str:
    source = login_source()
    if source is None:
        raise RuntimeError("no EARTHDATA_TOKEN and no netrc entry found")
    return f"from {source}"


def _network() -> str:
    try:
        answer = requests.get(CMR, timeout=5)
    except requests.RequestException as error:
        raise RuntimeError(f"no answer from {CMR} ({type(error).__name__})") from None
    answer.raise_for_status()
    return f"CMR answers {answer.status_code}"


def show(findings: list[Finding]) -> None:
    """Print the findings as a table."""
    table = Table()
    for title in ("check", "state", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        state = "ok" if finding.ok else ("BROKEN" if finding.needed else "missing")
        table.add_row(finding.what, state, finding.found, finding.remedy)
    Console().print(table)
