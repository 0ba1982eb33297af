"""Earthdata: where a login would come from. Reads secrets only to see that they are there; never keeps or shows one."""

from __future__ import annotations

import netrc
import os
from pathlib import Path

HOST = "urs.earthdata.nasa.gov"


def login_source() -> str | None:
    """Where granules are read with: "EARTHDATA_TOKEN", "netrc", or None (as `ssc.gdal`, in this order)."""
    if os.environ.get("EARTHDATA_TOKEN"):
        return "EARTHDATA_TOKEN"
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return "netrc" if netrc.netrc(str(path)).authenticators(HOST) else None
    except (OSError, netrc.NetrcParseError):
        return None
