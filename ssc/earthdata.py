"""Earthdata: where a login would come from, why it is refused, and how it stays out of the logs.

Reads secrets only to see that they are there; never keeps or shows one.
"""

from __future__ import annotations

import logging
import netrc
import os
import re
from pathlib import Path
from typing import Final

from ssc.errors import AccessError

HOST = "urs.earthdata.nasa.gov"

_TALKATIVE: Final = ("urllib3.connectionpool", "urllib3.util.retry")
"""Loggers that write whole addresses at level DEBUG, signatures in the query included."""


def login_source() -> str | None:
    """Where granules are read with: "EARTHDATA_TOKEN", "netrc", or None (as `ssc.gdal`, in this order)."""
    if os.environ.get("EARTHDATA_TOKEN"):
        return "EARTHDATA_TOKEN"
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return "netrc" if netrc.netrc(str(path)).authenticators(HOST) else None
    except (OSError, netrc.NetrcParseError):
        return None


def refusal(status: int, said: str, which: str) -> AccessError:
    """Why a data host answers 401 or 403 although somebody is logged in, and what to do.

    Args:
        status: HTTP status.
        said: Body of the answer; Earthdata's distribution says "EULA Acceptance Failure" in it. Never shown.
        which: The file, fit for a message.
    """
    if "eula" in said.lower():
        todo = f"accept the licence (EULA) of the data: https://{HOST}/profile, EULAs, Accept New EULAs"
    elif status == 401:
        todo = f"log in again, the token may have expired: make a new one at https://{HOST}/profile, Generate Token"
    else:
        todo = f"permit the data host and accept its licence (EULA): https://{HOST}/profile, Applications and EULAs"
    return AccessError(f"refused: {which}: found HTTP {status}, wanted access ({todo})")


def hide_queries() -> None:
    """Let the HTTP library log addresses without their queries from now on; twice does no harm."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(re.sub(r"\?\S*", "?...", arg) if isinstance(arg, str) else arg for arg in record.args)
    return True
