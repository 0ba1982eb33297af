"""Files of granules from https into a bounded folder: whole or not at all, resumed, polite, several at a time.

    with Downloader(login(), Path("cache")) as downloader, downloader.local(granule, layers) as granule: ...

A file is written under a hidden name, on which a lock excludes everybody else, resumed there by Range and If-Range
after a cut or a kill, checked to its last block and put in place by one rename. So two processes that want one file
take turns: the second finds it whole. A file in place is not asked for again; its length and last blocks are looked at.

The ends alone prove little on arrival: a flipped bit in the middle shows in no header. Blocks of HLS are DEFLATE with
a checksum each, so a new file is unpacked once, unless a checksum of the whole was told.

Messages and logs hold no query and no user of an address: signatures and passwords stand there.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, Self

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from ssc.bands import Band, Layer
from ssc.cache import Cache, discard
from ssc.earthdata import hide_queries
from ssc.errors import AccessError, InputError, SscError, TransientError
from ssc.gdal import FAILURES
from ssc.granules import Granule
from ssc.intact import read_through
from ssc.transfer import DamagedError, Patience, PauseError, RemoteFile, attempt

BUDGET_BYTES: Final = 50 * 10**9
"""About 290 granules of the seven files that the maskers read."""
_PROGRESS: Final = 2**16
"""Bytes beyond what any try before had: then the tries are counted anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What became of one file: a path or an error."""

    file: RemoteFile
    path: Path | None = None
    error: SscError | None = None


class _Pace:
    """Starts of requests, evenly spread over all threads."""

    def __init__(self, rate: float) -> None:
        self._lock = threading.Lock()
        self._step_s = 1 / rate
        self._next = 0.0

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._step_s
        time.sleep(start - now)

    def hold(self, seconds: float) -> None:
        """No further request starts before that."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class _Batch:
    """The files of one call; an error of the whole call ends them all."""

    def __init__(self) -> None:
        self.error: SscError | None = None

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class _Course:
    """How the tries for one file went so far."""

    most: int = 0
    """Most bytes any try had."""
    fruitless: int = 0
    """Tries since then."""
    damaged: int = 0

    def is_over(self, error: BaseException | None, size: int, patience: Patience) -> bool:
        if isinstance(error, DamagedError):
            self.damaged += 1
        self.fruitless = 0 if size >= self.most + _PROGRESS else self.fruitless + 1
        self.most = max(self.most, size)
        too_long = isinstance(error, PauseError) and error.after_s > patience.asked_s
        return too_long or self.damaged > 1 or self.fruitless >= patience.tries


class Downloader:
    """Fetches files into a cache. One for the whole run: it keeps the threads and the pace; close it at the end."""

    def __init__(
        self,
        session: requests.Session,
        folder: Path,
        *,
        workers: int = 4,
        rate: float = 10.0,
        budget_bytes: int = BUDGET_BYTES,
        patience: Patience | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            session: Logged in where that is needed (`ssc.login`).
            folder: The cache: new, empty or made by an earlier run.
            workers: Files at a time.
            rate: Requests begun per second, at most.
            budget_bytes: Bytes the cache may hold.
            patience: Pauses, tries and time-outs.

        Raises:
            InputError: The folder holds other files.
        """
        hide_queries()
        self._session = session
        self._cache = Cache(folder, budget_bytes)
        self._pace = _Pace(rate)
        self._patience = patience or Patience()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="download")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def local(self, granule: Granule, layers: Iterable[Band | Layer] | None = None) -> Iterator[Granule]:
        """The granule with the hrefs of these layers (None: all it has) on this disk; they stay while this lasts.

        What lies on disk already is left where it is.

        Raises:
            SscError: The gravest of what went wrong: AccessError, then TransientError, then DataError.
        """
        wanted = {layer: granule.href(layer) for layer in (granule.hrefs if layers is None else layers)}
        remote = {layer: href for layer, href in wanted.items() if "://" in href}
        files = [RemoteFile(name=granule.file_name(layer), url=href) for layer, href in remote.items()]
        with self.holding(files) as results:
            _raise_gravest(results)
            paths = {layer: str(result.path) for layer, result in zip(remote, results, strict=True)}
            yield replace(granule, hrefs=wanted | paths)

    @contextmanager
    def holding(self, files: Sequence[RemoteFile]) -> Iterator[list[Fetched]]:
        """What became of each file, in order; those that came are not evicted while this lasts.

        A refused login (AccessError) ends the others too: they would be refused the same way.
        """
        batch = _Batch()
        with ExitStack() as leases:
            futures = [self._pool.submit(self._settled, file, batch, leases) for file in files]
            try:
                results = [future.result() for future in futures]
            finally:  # nothing is left to stop, unless we were interrupted
                batch.error = TransientError("download interrupted: found a stop on the way, wanted all files")
                for future in futures:
                    future.cancel()
                wait(futures)
            yield results

    def _settled(self, file: RemoteFile, batch: _Batch, leases: ExitStack) -> Fetched:
        try:
            leases.enter_context(self._obtained(file, batch))
        except AccessError as error:
            batch.error = error
            return Fetched(file=file, error=error)
        except SscError as error:
            return Fetched(file=file, error=error)
        except OSError as error:
            found = error.strerror or type(error).__name__
            text = f"no use of the cache: {file.which}: found {found}, wanted to write to {self._cache.folder}"
            return Fetched(file=file, error=TransientError(text))
        return Fetched(file=file, path=self._cache.path(file.name))

    def _obtained(self, file: RemoteFile, batch: _Batch) -> IO[bytes]:
        """A lease on the whole file, fetched if it is not there."""
        for _ in range(3):
            if (lease := self._cached(file)) is not None:
                return lease
            batch.check()
            self._fetch(file, batch)
        raise TransientError(f"evicted at once: {file.which}: found no room to keep it, wanted a larger cache")

    def _cached(self, file: RemoteFile) -> IO[bytes] | None:
        """A lease on the file in place; None where there is none, or one that is short, damaged or of another size."""
        lease = self._cache.lease(file.name)
        if lease is None:
            return None
        path = self._cache.path(file.name)
        try:
            if file.size in {None, path.stat().st_size}:
                read_through(path, every=False)
                return lease
        except FAILURES:
            pass
        lease.close()
        return None

    def _fetch(self, file: RemoteFile, batch: _Batch) -> None:
        """Put the file in place, unless somebody else did while we waited for our turn."""
        if not file.url.startswith(("https://", "http://")):
            raise InputError(f"no web address: {file.which}: wanted https://")
        with self._cache.draft(file.name) as part:
            if (lease := self._cached(file)) is not None:
                lease.close()
                return
            try:
                self._persist(file, part, batch)
                self._cache.publish(part, file.name)
            except (SscError, OSError):
                discard(part)
                raise

    def _persist(self, file: RemoteFile, part: Path, batch: _Batch) -> None:
        """Try until the part is the whole file or no try is left."""
        course, patience = _Course(), self._patience

        def once() -> None:
            batch.check()
            self._pace.wait()
            attempt(self._session, file, part, patience=patience, reserve=self._cache.reserve, check=batch.check)

        def stop(state: RetryCallState) -> bool:
            return course.is_over(_error(state), part.stat().st_size, patience)

        def pause(state: RetryCallState) -> float:
            longest = min(patience.first_s * 2.0**course.fruitless, patience.most_s)
            return _asked(state) + random.uniform(0, longest)  # noqa: S311 (spreads clients, keeps no secret)

        Retrying(
            retry=retry_if_exception_type((TransientError, DamagedError)),
            stop=stop,
            wait=pause,
            sleep=time.sleep,
            before_sleep=lambda state: self._pace.hold(_asked(state)),
            reraise=True,
        )(once)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _asked(state: RetryCallState) -> float:
    """Seconds of pause that the server asked for."""
    error = _error(state)
    return error.after_s if isinstance(error, PauseError) else 0.0


def _raise_gravest(results: Iterable[Fetched]) -> None:
    errors = [result.error for result in results if result.error is not None]
    for kind in (AccessError, InputError, TransientError, SscError):
        for error in errors:
            if isinstance(error, kind):
                raise error
