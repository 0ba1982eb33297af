"""NASA's Common Metadata Repository over plain HTTP: asked page by page, patiently, and nothing lost on the way.

Not through earthaccess 0.17: its search neither retries nor times out, and it ends at the first page that is not full,
though CMR may send short pages before the end (earthaccess-dev/earthaccess#1445). Here a search ends when CMR stops
sending CMR-Search-After, and what came is counted against CMR-Hits (CMR search API documentation). No login is needed.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from ssc.errors import AccessError, DataError, InputError, SscError, TransientError

CMR: Final = "https://cmr.earthdata.nasa.gov/search"
PAGE: Final = 2000
"""Records per page; CMR gives no more."""

Parameters = Sequence[tuple[str, str]]
"""Names and values of a search; a name may come again."""
Record = dict[str, Any]
"""One granule as CMR tells it: {"meta": ..., "umm": UMM-G}."""

_LONGEST_URL: Final = 4000
"""CMR refuses a GET of more than 6000 characters; what is longer is asked by POST."""
_TROUBLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a search waits and how often it tries."""

    tries: int = 6
    """Requests for one page before the search is given up."""
    first_s: float = 0.5
    """Longest pause after the first failure; it doubles with each, and the pause is drawn between 0 and it."""
    most_s: float = 60.0
    """Longest pause drawn."""
    asked_s: float = 300.0
    """Longest pause that CMR may ask for by Retry-After; when it asks for more, the search is given up."""
    timeout_s: tuple[float, float] = (10.0, 120.0)
    """Seconds to connect, and without a byte."""


class _BusyError(TransientError):
    """CMR asks for a pause of so many seconds; 0 when it does not say."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    items: list[Record]
    hits: int
    after: str | None
    """Value of CMR-Search-After; None after the last page."""


def granule_records(
    parameters: Parameters, *, base: str = CMR, page_size: int = PAGE, patience: Patience | None = None
) -> list[Record]:
    """All granule records (UMM-G) of one search, in CMR's order; a record that came twice is there twice.

    Args:
        parameters: CMR's search parameters, without paging.
        base: Where CMR's search lies: the real one, or a server that speaks like it.
        page_size: Records asked for at once, at most 2000.
        patience: Pauses, tries and time-outs.

    Raises:
        InputError: CMR refuses the parameters (HTTP 400).
        AccessError: CMR refuses us (HTTP 401, 403).
        TransientError: No answer, trouble that outlasts the tries, or fewer or more records than CMR-Hits tells.
        DataError: Something else than CMR's JSON.
    """
    patience = patience or Patience()
    with requests.Session() as session:
        session.headers["Client-Id"] = "river-ssc"  # CMR asks its clients for a name
        asked = [*parameters, ("page_size", str(page_size))]
        pages = list(_pages(session, f"{base.rstrip('/')}/granules.umm_json", asked, patience))
    records = [record for page in pages for record in page.items]
    _count(records, pages)
    return records


def _pages(session: requests.Session, url: str, parameters: Parameters, patience: Patience) -> Iterator[_Page]:
    after: str | None = None
    while True:
        page = _patiently(session, url, parameters, after, patience)
        yield page
        if page.after is None:
            return
        if page.after == after:
            raise DataError(
                f"search goes in circles: {url}: found the same CMR-Search-After twice, wanted the next page"
            )
        after = page.after


def _count(records: Sequence[Record], pages: Sequence[_Page]) -> None:
    """Distinct records against CMR-Hits, which may change while we turn pages because granules come and go."""
    found = len({_concept(record) for record in records})
    least, most = min(page.hits for page in pages), max(page.hits for page in pages)
    if not least <= found <= most:
        told = str(least) if least == most else f"{least} to {most}"
        raise TransientError(
            f"search does not add up: found {found} granules on {len(pages)} pages, wanted the {told} that CMR-Hits "
            "tells (search again)"
        )


def _concept(record: Record) -> str:
    try:
        return str(record["meta"]["concept-id"])
    except (KeyError, TypeError):
        raise DataError("incomplete CMR record: found no meta.concept-id, wanted granules in UMM-G") from None


def _patiently(
    session: requests.Session, url: str, parameters: Parameters, after: str | None, patience: Patience
) -> _Page:
    """One page, after as many tries as it takes."""

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after_s if isinstance(error, _BusyError) else 0.0
        longest = min(patience.first_s * 2 ** (state.attempt_number - 1), patience.most_s)
        return asked + random.uniform(0, longest)  # noqa: S311 (spreads clients, keeps no secret)

    def stop(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        too_long = isinstance(error, _BusyError) and error.after_s > patience.asked_s
        return too_long or stop_after_attempt(patience.tries)(state)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError), stop=stop, wait=pause, sleep=time.sleep, reraise=True
    )
    return retrying(_page, session, url, parameters, after, patience)


def _page(session: requests.Session, url: str, parameters: Parameters, after: str | None, patience: Patience) -> _Page:
    headers = {} if after is None else {"CMR-Search-After": after}
    try:
        if len(urlencode(parameters)) > _LONGEST_URL:
            answer = session.post(url, data=list(parameters), headers=headers, timeout=patience.timeout_s)
        else:
            answer = session.get(url, params=list(parameters), headers=headers, timeout=patience.timeout_s)
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
        raise InputError(f"not an address of CMR: found {url}, wanted one like {CMR}") from None
    except requests.RequestException as error:
        raise TransientError(f"no answer from CMR: {url}: found {type(error).__name__}, wanted a page") from None
    if answer.status_code != 200:
        raise _refusal(answer, url)
    return _read(answer, url)


def _refusal(answer: requests.Response, url: str) -> SscError:
    """The error that a status amounts to, with what CMR says about it."""
    status, said = answer.status_code, _said(answer)
    found = f"{url}: found HTTP {status}{f' ({said})' if said else ''}"
    if status in _TROUBLE:
        after_s = _retry_after(answer.headers.get("Retry-After", ""))
        when = f"in {after_s:.0f} s" if after_s else "later"
        return _BusyError(f"CMR in trouble: {found}, wanted 200 (try again {when})", after_s)
    if status in {401, 403}:
        return AccessError(f"CMR refuses us: {found}, wanted a search without login (a proxy or firewall between?)")
    if status in {400, 413, 414, 422}:
        return InputError(f"CMR does not take this search: {found}, wanted other dates, places or tiles")
    return DataError(f"no CMR search here: {found}, wanted 200")


def _read(answer: requests.Response, url: str) -> _Page:
    try:
        body = answer.json()
    except requests.exceptions.JSONDecodeError:
        what = "a web page" if answer.text.lstrip()[:1] == "<" else "broken JSON"
        raise DataError(f"not an answer of CMR: {url}: found {what}, wanted granules in JSON") from None
    if isinstance(body, dict) and body.get("errors"):
        raise DataError(f"CMR reports errors: {url}: found {_joined(body['errors'])}, wanted granules")
    if answer.headers.get("CMR-Timed-Out", "").lower() == "true":
        raise TransientError(f"CMR timed out: {url}: found part of a page, wanted all of it (a shorter search helps)")
    if not (isinstance(body, dict) and isinstance(body.get("items"), list)):
        raise DataError(f"not an answer of CMR: {url}: found no items, wanted granules in UMM-G")
    hits = answer.headers.get("CMR-Hits", "")
    if not hits.isdecimal():
        raise DataError(f"not an answer of CMR: {url}: found CMR-Hits {hits!r}, wanted the number of granules")
    return _Page(items=body["items"], hits=int(hits), after=answer.headers.get("CMR-Search-After"))


def _said(answer: requests.Response) -> str:
    """CMR's own words in a refusal; empty when there are none."""
    try:
        body = answer.json()
    except requests.exceptions.JSONDecodeError:
        return ""
    return _joined(body["errors"]) if isinstance(body, dict) and body.get("errors") else ""


def _joined(errors: object) -> str:
    words = [str(error) for error in errors] if isinstance(errors, list) else [str(errors)]
    return " ".join("; ".join(words).split())[:300]


def _retry_after(value: str) -> float:
    """Seconds to wait: Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); 0 when it is neither.

    >>> _retry_after("120"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after("soon")
    (120.0, 0.0, 0.0)
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
