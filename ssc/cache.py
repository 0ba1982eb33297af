"""A folder of downloaded files of a bounded size: the least recently used go first, what is in use stays.

The locks are on the files themselves (flock): shared while a file is in use, exclusive while it is written or removed.
The kernel lets go of them when a process dies, so no lock outlives its holder and none has to be cleaned up. A file's
mtime is the time of its last use, since many disks keep no atime.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from ssc.errors import InputError, TransientError

_TAG: Final = "CACHEDIR.TAG"
_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55\n"
"""Cache Directory Tagging Specification (bford.info/cachedir): back-ups pass such a folder over."""
_PART: Final = ".part"
_ETAG: Final = ".etag"


class Cache:
    """Files by name in one folder. Several threads and processes may share it."""

    __slots__ = ("_lock", "_promised", "budget_bytes", "folder")

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        """Take a folder that is empty, new, or a cache already.

        Args:
            folder: Where the files lie, side by side.
            budget_bytes: All files together, unfinished ones included, stay below this. Each process sees what the
                others have on disk, not what they are about to write, and may pass it by that much.

        Raises:
            InputError: The folder holds other files: they would be removed one day.
        """
        self.folder = folder
        self.budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._promised: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        tag = folder / _TAG
        if not tag.exists():
            if any(each.name != _TAG for each in folder.iterdir()) and not tag.exists():
                raise InputError(f"not a cache: {folder}: found other files, wanted an empty folder or none")
            tag.write_text(_SIGNATURE)

    def path(self, name: str) -> Path:
        """Where a file lies once it is whole."""
        return self.folder / name

    def lease(self, name: str) -> IO[bytes] | None:
        """A file that is there, marked as used now and kept until the handle is closed; None if it is not there."""
        path = self.path(name)
        while True:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return None
            fcntl.flock(file, fcntl.LOCK_SH)
            if _is_at(file, path):
                os.utime(file.fileno())
                return file
            file.close()  # removed or replaced between opening and locking: look again

    @contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """The unfinished file, ours alone while it lasts; waits while another thread or process has it.

        What a killed process left is found again here. Put the finished file in place by `publish`, or `discard` it.
        """
        part = self.folder / f".{name}{_PART}"
        with _held(part):
            try:
                yield part
            finally:
                self._keep_promise(part)
                if part.exists() and part.stat().st_size == 0:
                    discard(part)

    def publish(self, part: Path, name: str) -> None:
        """Put a finished draft in place at once; call within `draft`."""
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.utime(part)
        part.replace(self.path(name))
        etag_of(part).unlink(missing_ok=True)

    def reserve(self, part: Path, size: int) -> None:
        """Make room for a draft that will have this many bytes; the promise ends with `draft`.

        Raises:
            InputError: It can never fit.
            TransientError: What is in use leaves no room.
        """
        if size > self.budget_bytes:
            raise InputError(
                f"cache too small: {self.folder}: found {self.budget_bytes} bytes, wanted {size} for one file"
            )
        with self._lock:
            self._promised[part.name] = size
            excess = sum(self._sizes().values()) - self.budget_bytes
            for path in self._oldest_first() if excess > 0 else []:
                if path != part and excess > 0:
                    excess -= _removed(path)
            if excess > 0:
                raise TransientError(
                    f"cache full: {self.folder}: found {self.budget_bytes} bytes in use, wanted {excess} more "
                    "(raise the budget or work on fewer granules at a time)"
                )

    def _keep_promise(self, part: Path) -> None:
        with self._lock:
            self._promised.pop(part.name, None)

    def _sizes(self) -> dict[str, int]:
        """Bytes of every file; of drafts of this process, what they will have."""
        on_disk = {path.name: _size(path) for path in self._files()}
        return {name: max(size, self._promised.get(name, 0)) for name, size in {**self._promised, **on_disk}.items()}

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name != _TAG and path.suffix != _ETAG]

    def _oldest_first(self) -> list[Path]:
        return sorted(self._files(), key=_last_use)


def etag_of(part: Path) -> Path:
    """The file that keeps the ETag of an unfinished file, so that it can be resumed after a kill."""
    return part.with_name(f"{part.name}{_ETAG}")


def empty(part: Path) -> None:
    """Begin an unfinished file anew. It is not removed: a new one of its name would not have our lock."""
    etag_of(part).unlink(missing_ok=True)
    part.write_bytes(b"")


def discard(part: Path) -> None:
    """Remove an unfinished file and its ETag, for good."""
    part.unlink(missing_ok=True)
    etag_of(part).unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """An exclusive lock on a file, made if need be; a file renamed or removed while we waited is another's."""
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield
                return


def _removed(path: Path) -> int:
    """Remove a file unless somebody has a lock on it; the bytes freed."""
    try:
        file = path.open("r+b")  # over NFS an exclusive lock needs a file opened for writing
    except OSError:
        return 0
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if not _is_at(file, path):
            return 0
        size = _size(path)
        discard(path)
        return size


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file still is the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
