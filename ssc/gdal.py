"""How GDAL is set up to read HLS files from disk, https:// and s3://, and what its failures mean.

Credentials come from the environment and are shown nowhere: EARTHDATA_TOKEN or a netrc entry for https, the AWS_*
variables (or whatever else GDAL finds for /vsis3/) for s3. A setting of GDAL's in the environment wins over ours.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import set_gdal_config
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.session import DummySession

from ssc.errors import AccessError, DataError, SscError, TransientError

# The grid is checked here for every file, and catch_warnings is not safe where threads open files side by side.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

FAILURES: Final = (RasterioError, CPLE_BaseError, CRSError)
"""All that rasterio raises on a bad file: GDAL's own error classes leak through it now and then."""

CACHE_BYTES: Final = 256 * 2**20
"""Decoded blocks GDAL keeps per process. Its default is 5 % of the memory, too much for many workers on one machine.
In bytes: rasterio hands an integer on as it is, so 256 would mean 256 bytes."""

_TUNED: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing, and no search for .aux.xml, .ovr, .msk
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # a whole HLS header in one request
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",  # else a failure is remembered and every retry sees it again
}
"""Measured on loopback with 30 ms latency, full tiles, 8 threads: 0.4 s to open seven files, 0.1 s for one window of
512 px in all of them (21 requests, 5 MB). CPL_VSIL_CURL_USE_HEAD=NO would fetch 245 MB to open them; VSI_CACHE gains
nothing over GDAL's block cache."""

_EARTHDATA: Final = (".earthdata.nasa.gov", ".earthdatacloud.nasa.gov")
"""Hosts an Earthdata token may be sent to."""
_HLS_REGION: Final = "us-west-2"
"""Where LP DAAC keeps HLS; spares a redirect per file."""
_LOGIN: Final = "log in to Earthdata: EARTHDATA_TOKEN or ~/.netrc for https, AWS_* for s3, which serves us-west-2 only"

_ABSENT: Final = {404, 410}
_REFUSED: Final = {401, 403}
_AWS_REFUSED: Final = {
    "CPLE_AWSAccessDeniedError",
    "CPLE_AWSInvalidCredentialsError",
    "CPLE_AWSSignatureDoesNotMatchError",
}
_AWS_ABSENT: Final = {"CPLE_AWSObjectNotFoundError", "CPLE_AWSBucketNotFoundError"}
_AWS_STALE: Final = re.compile("token|access key|expired", re.IGNORECASE)
"""In the messages of other AWS errors: GDAL drops their codes (ExpiredToken, InvalidAccessKeyId)."""


class MissingFileError(DataError):
    """A file of a granule is not where it should be."""


def configured(href: str, *, anonymous: bool = False) -> rasterio.Env:
    """The GDAL environment to open and read this location in; each thread enters its own.

    Args:
        href: Where the file lies.
        anonymous: For public data outside Earthdata: no login is offered, no region assumed.
    """
    _bound_cache()
    settings = dict(_TUNED)
    if anonymous:
        settings["AWS_NO_SIGN_REQUEST"] = "YES"
    elif href.startswith("s3://"):
        settings["AWS_REGION"] = os.environ.get("AWS_DEFAULT_REGION", _HLS_REGION)
    elif is_earthdata(href):
        settings |= _earthdata_settings()
    return rasterio.Env(session=DummySession(), **{key: val for key, val in settings.items() if key not in os.environ})


def opened(href: str) -> rasterio.DatasetReader:
    """The GeoTIFF at a location, its header read. Call within `configured(href)`.

    Raises:
        FAILURES: See `explained`.
    """
    # The s3 path is spelled for GDAL: given s3://, rasterio would ask boto3 for credentials where it is installed.
    # One driver only: a .tif that is a VRT could make GDAL read any file of this machine.
    return rasterio.open(href.replace("s3://", "/vsis3/", 1), driver="GTiff")


def explained(error: Exception, href: str, file: str) -> SscError:
    """The error of ours that a failure of GDAL on this location amounts to.

    Args:
        error: One of FAILURES.
        href: What was to be read.
        file: Official name of the file, which names the granule.
    """
    which = told(href, file)
    if "://" not in href:
        return _local(Path(href), which, _reason(error))
    status = http_status(error)
    return _remote(error, href, which) if status is None else answered(status, which)


def http_status(error: Exception) -> int | None:
    """The HTTP status in what GDAL says; None when no server answered. Ports and paths hold numbers too.

    >>> http_status(OSError("HTTP response code: 404"))
    404
    >>> http_status(OSError("CURL error: Failed to connect to 127.0.0.1 port 40404 after 0 ms"))
    """
    found = re.search(r"HTTP response code(?: on \S+)?: (\d{3})\b", _chained(error))
    return int(found[1]) if found else None


def told(href: str, file: str) -> str:
    """A location fit for a message: no query, no user, and the official file name when it does not end in it.

    >>> told("https://me:secret@host/a/B04.tif?token=secret", "B04.tif")
    'https://host/a/B04.tif'
    """
    place = href
    if "://" in href:
        parts = urlsplit(href)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return place if place.endswith(file) else f"{file} at {place}"


def answered(status: int, which: str) -> SscError:
    """The error that an HTTP status amounts to.

    Args:
        status: HTTP status, not 200.
        which: The file, fit for a message.
    """
    if status in _REFUSED:
        return AccessError(f"refused: {which}: found HTTP {status}, wanted access ({_LOGIN})")
    if status in _ABSENT:
        return MissingFileError(f"missing file: {which}: found HTTP {status}, wanted a GeoTIFF")
    if status in {408, 425, 429} or status >= 500:
        return TransientError(f"server in trouble: {which}: found HTTP {status}, wanted 200 (try again later)")
    return DataError(f"server will not send: {which}: found HTTP {status}, wanted 200")


def _remote(error: Exception, href: str, which: str) -> SscError:
    """The error for a remote failure without HTTP status."""
    text = _chained(error)
    kinds = {type(each).__name__ for each in _causes(error)}
    if kinds & _AWS_REFUSED or ("CPLE_AWSError" in kinds and _AWS_STALE.search(text)):
        return AccessError(f"refused: {which}: found no valid credentials, wanted access ({_LOGIN})")
    if kinds & _AWS_ABSENT:
        return MissingFileError(f"missing file: {which}: found no such object, wanted a GeoTIFF")
    if "not recognized as being in a supported file format" in text:
        if is_earthdata(href):  # without a login Earthdata answers 200 and a web page
            return AccessError(f"refused: {which}: found something else than a GeoTIFF, wanted access ({_LOGIN})")
        return DataError(f"not a TIFF: {which}: found something else (a web page?), wanted a GeoTIFF")
    return TransientError(f"connection failed: {which}: found {_reason(error)}, wanted the whole file (try again)")


def _local(path: Path, which: str, reason: str) -> DataError:
    """The error for a file on this machine, after a look at how it begins."""
    if not path.exists():
        return MissingFileError(f"missing file: {which}: found nothing, wanted a GeoTIFF")
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return DataError(f"unreadable file: {which}: found {error.strerror}, wanted a GeoTIFF")
    if not start:
        return DataError(f"empty file: {which}: found 0 bytes, wanted a GeoTIFF (download it again)")
    if re.match(rb"\s*<(!doctype|html|head|\?xml)", start, re.IGNORECASE):
        return DataError(f"not a TIFF: {which}: found a web page, wanted a GeoTIFF (log in and download it again)")
    if start[:4] not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return DataError(f"not a TIFF: {which}: found a file that starts with {start[:8]!r}, wanted a GeoTIFF")
    return DataError(f"truncated or damaged file: {which}: found {reason}, wanted a whole GeoTIFF (download it again)")


def _reason(error: Exception) -> str:
    """What GDAL said at the bottom of it, on one line, without the file's name and what may be secret."""
    texts = [str(each) for each in _causes(error)]
    text = " ".join(texts[-1].split())
    return re.sub(r"\S*(://|/vsi|\?)\S*", "...", text)[:200] or type(error).__name__


def _chained(error: BaseException) -> str:
    return " | ".join(str(each) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def is_earthdata(href: str) -> bool:
    """Whether a location is Earthdata's: our login may go there, and nowhere else."""
    parts = urlsplit(href)
    return parts.scheme == "https" and (parts.hostname or "").endswith(_EARTHDATA)


def _earthdata_settings() -> dict[str, str]:
    """Login by token; without one by netrc, which takes a cookie jar to last longer than one request."""
    if token := os.environ.get("EARTHDATA_TOKEN"):
        return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {token}"}
    jar = str(_private_folder() / "cookies")
    netrc = {"GDAL_HTTP_NETRC_FILE": os.environ["NETRC"]} if "NETRC" in os.environ else {}
    return {"GDAL_HTTP_COOKIEFILE": jar, "GDAL_HTTP_COOKIEJAR": jar, **netrc}


@lru_cache(maxsize=1)
def _private_folder() -> Path:
    """A folder only this user may read, gone with this process."""
    folder = Path(tempfile.mkdtemp(prefix="ssc-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache(maxsize=1)
def _bound_cache() -> None:
    if "GDAL_CACHEMAX" not in os.environ:
        set_gdal_config("GDAL_CACHEMAX", CACHE_BYTES)
