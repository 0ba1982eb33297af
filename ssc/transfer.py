"""One try to get one file from https: from its beginning or from where a try before ended, checked to its last block.

What is resumed is asked for by Range and, with the ETag that its start came under, If-Range (RFC 9110, 13.1.5, 14.2):
of a file that changed meanwhile the server sends all. Without a strong ETag every try begins anew.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests
import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from ssc.cache import empty, etag_of
from ssc.earthdata import refusal
from ssc.errors import AccessError, DataError, InputError, SscError, TransientError
from ssc.gdal import FAILURES, answered, explained, is_earthdata, told
from ssc.intact import read_through

_CHUNK: Final = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file to fetch."""

    name: str
    """Official file name; the name in the cache."""
    url: str = field(repr=False)
    """https location; may be signed, so it is not shown."""
    size: int | None = None
    """Bytes as the catalogue tells, None if it does not."""
    checksum: tuple[str, str] | None = None
    """Algorithm and hex digest as UMM-G tells them: ("SHA-512", "9b71...")."""

    @property
    def which(self) -> str:
        """The file, as messages name it."""
        return told(self.url, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a download waits and how often it tries."""

    tries: int = 6
    """Tries without progress before a file is given up."""
    first_s: float = 1.0
    """Longest pause after the first failure; it doubles with each, and the pause is drawn between 0 and it."""
    most_s: float = 60.0
    """Longest pause drawn."""
    asked_s: float = 300.0
    """Longest pause that a server may ask for by Retry-After; when it asks for more, the file is given up."""
    timeout_s: tuple[float, float] = (10.0, 60.0)
    """Seconds to connect, and without a byte."""
    slow_s: float = 30.0
    """A connection is cut when in this time ..."""
    slow_bytes: int = 30_000
    """... fewer bytes come."""


class PauseError(TransientError):
    """The server asks for a pause of so many seconds; infinite where trying again is no use now."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class DamagedError(DataError):
    """What came is not the file. Tried once more: it may have been damaged on the way."""


def attempt(
    session: requests.Session,
    file: RemoteFile,
    part: Path,
    *,
    patience: Patience,
    reserve: Callable[[Path, int], None],
    check: Callable[[], None],
) -> None:
    """Make the part the whole file, or leave in it what came.

    Args:
        session: Logged in where that is needed.
        file: What to get.
        part: Where it is written, locked for us.
        patience: Time-outs.
        reserve: Makes room for so many bytes.
        check: Raises when the download shall end.

    Raises:
        TransientError: May pass. PauseError: not before some time.
        AccessError: Refused. DamagedError: what came is not the file. DataError: the server will not send it.
    """
    start, headers = _resumption(part)
    try:
        with session.get(file.url, headers=headers, stream=True, timeout=patience.timeout_s) as answer:
            _receive(answer, file, part, start, patience=patience, reserve=reserve, check=check)
    except requests.exceptions.TooManyRedirects:
        raise AccessError(f"sent in circles: {file.which}: found redirects, wanted a login that lasts") from None
    except (requests.RequestException, HTTPError) as error:  # their texts hold addresses with signatures
        found = type(error).__name__
        raise TransientError(f"connection failed: {file.which}: found {found}, wanted the whole file") from None
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise PauseError(f"cannot write: {file.which}: found {found}, wanted room in the cache", math.inf) from None
    _check(file, part)


def _receive(
    answer: requests.Response,
    file: RemoteFile,
    part: Path,
    start: int,
    *,
    patience: Patience,
    reserve: Callable[[Path, int], None],
    check: Callable[[], None],
) -> None:
    """Write the body of one answer behind what is there, or from the beginning."""
    if answer.status_code == 416 and _total(answer) == start:
        return  # killed between the last byte and the rename: all is there
    if answer.status_code not in {200, 206}:
        _refuse(answer, file, part)
    if answer.status_code == 206 and not _continues(answer, part, start):
        empty(part)
        raise TransientError(f"another part came: {file.which}: found other bytes, wanted those from {start}")
    if "text/html" in answer.headers.get("Content-Type", ""):
        raise _web_page(file)
    total = _total(answer)
    _check_size(file, total)
    if answer.status_code == 200:
        start = 0
        _keep_etag(answer, part)
    reserve(part, total or file.size or 0)
    _write(answer, file, part, start, patience=patience, check=check)
    if total is not None and part.stat().st_size != total:
        raise TransientError(f"cut short: {file.which}: found {part.stat().st_size} bytes, wanted {total}")


def _write(
    answer: requests.Response,
    file: RemoteFile,
    part: Path,
    start: int,
    *,
    patience: Patience,
    check: Callable[[], None],
) -> None:
    since, got = time.monotonic(), 0
    with part.open("r+b") as out:
        out.truncate(start)
        out.seek(start)
        # Not iter_content: it waits for a full chunk, so a server that drips would never be found out.
        while chunk := answer.raw.read1(_CHUNK):
            check()
            out.write(chunk)
            got += len(chunk)
            if time.monotonic() - since > patience.slow_s:
                if got < patience.slow_bytes:
                    found = f"{got} bytes in {patience.slow_s:g} s"
                    raise TransientError(f"too slow: {file.which}: found {found}, wanted {patience.slow_bytes}")
                since, got = time.monotonic(), 0


def _resumption(part: Path) -> tuple[int, dict[str, str]]:
    """Bytes that are there and can be built upon, and the headers that ask for the rest."""
    headers = {"Accept-Encoding": "identity"}  # else lengths are those of something else
    etag, size = etag_of(part), part.stat().st_size
    if size == 0 or not etag.exists():
        return 0, headers
    return size, headers | {"Range": f"bytes={size}-", "If-Range": etag.read_text()}


def _keep_etag(answer: requests.Response, part: Path) -> None:
    """Weak ETags are of no use: RFC 9110, 13.1.5, takes strong ones alone in If-Range."""
    etag = answer.headers.get("ETag", "")
    empty(part)  # before the new ETag: a kill between leaves none beside bytes of another file
    if etag.startswith('"'):
        etag_of(part).write_text(etag)


def _continues(answer: requests.Response, part: Path, start: int) -> bool:
    """Whether a partial answer begins where we are, in the same version of the file."""
    span = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    etag = etag_of(part).read_text() if etag_of(part).exists() else ""
    return span is not None and int(span[1]) == start and answer.headers.get("ETag", etag) == etag


def _total(answer: requests.Response) -> int | None:
    """Bytes of the whole file, by Content-Range or Content-Length; None when the server does not tell."""
    if answer.status_code in {206, 416}:
        found = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _refuse(answer: requests.Response, file: RemoteFile, part: Path) -> None:
    """Raise what a status amounts to."""
    status = answer.status_code
    if status in {401, 403}:
        raise refusal(status, answer.raw.read(2**14, decode_content=True).decode(errors="replace"), file.which)
    if status == 416:
        empty(part)
        raise TransientError(f"another length: {file.which}: found HTTP 416, wanted the rest of the file")
    error = answered(status, file.which)
    raise PauseError(str(error), _retry_after(answer)) if isinstance(error, TransientError) else error


def _retry_after(answer: requests.Response) -> float:
    """Seconds to wait; 0 when the server does not say."""
    try:
        return urllib3.Retry().parse_retry_after(answer.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def _web_page(file: RemoteFile) -> SscError:
    """Without a login Earthdata answers 200 and a page."""
    if is_earthdata(file.url):
        return AccessError(f"refused: {file.which}: found a login page, wanted a GeoTIFF (log in to Earthdata)")
    return DataError(f"not a TIFF: {file.which}: found a web page, wanted a GeoTIFF")


def _check(file: RemoteFile, part: Path) -> None:
    """A part against all that is known of the file; what fails is emptied, so that the next try begins anew."""
    try:
        _check_size(file, part.stat().st_size)
        _check_digest(file, part)
        read_through(part, every=file.checksum is None)
    except DamagedError:
        empty(part)
        raise
    except FAILURES as error:
        reason = str(explained(error, str(part), file.name)).replace(told(str(part), file.name), file.which)
        empty(part)
        raise DamagedError(reason) from None


def _check_size(file: RemoteFile, size: int | None) -> None:
    if file.size is not None and size is not None and size != file.size:
        raise DamagedError(f"wrong size: {file.which}: found {size} bytes, wanted the {file.size} of the catalogue")


def _check_digest(file: RemoteFile, part: Path) -> None:
    if file.checksum is None:
        return
    algorithm, wanted = file.checksum
    try:
        with part.open("rb") as data:
            found = hashlib.file_digest(data, algorithm.lower().replace("-", "")).hexdigest()
    except ValueError:
        raise InputError(f"unknown checksum: {file.which}: found {algorithm}, wanted one like SHA-256") from None
    if found != wanted.lower():
        raise DamagedError(f"wrong {algorithm}: {file.which}: found {found}, wanted {wanted}")
