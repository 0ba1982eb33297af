"""Where a store lies: a local folder or an object store, by the same few operations.

Object stores (s3://, gs://, abfs://) take their credentials and endpoint from the environment, as their own tools do:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION; for a server of one's own also AWS_ENDPOINT_URL, and
AWS_ALLOW_HTTP=true when it speaks plain http.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from ssc.drafts import drafted
from ssc.errors import AccessError, InputError, SscError, TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder or a file, local or in an object store."""

    uri: str
    """Local path, or URL without a slash at its end."""

    @classmethod
    def of(cls, location: str | Path) -> Place:
        """The place that a path or URL names.

        >>> Place.of("s3://bucket/store/").uri
        's3://bucket/store'
        """
        text = str(location)
        return cls(uri=text.rstrip("/") if "://" in text else str(Path(text)))

    @property
    def remote(self) -> bool:
        """True in an object store."""
        return "://" in self.uri

    def __truediv__(self, name: str) -> Place:
        return Place(uri=f"{self.uri}/{name}")

    def __str__(self) -> str:
        return self.uri

    def names(self) -> list[str]:
        """Names of what lies in this folder, sorted; empty when there is no such folder.

        Raises:
            InputError: A file of that name is there.
        """
        if not self.remote and Path(self.uri).is_file():
            raise InputError(f"not a folder: found a file at {self}, wanted a folder or a new name")
        with told(self.uri):
            filesystem, path = self._open()
            selector = fs.FileSelector(path, allow_not_found=True)
            return sorted(info.base_name for info in filesystem.get_file_info(selector))

    def read(self) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: No such file.
        """
        with told(self.uri):
            filesystem, path = self._open()
            with filesystem.open_input_file(path) as file:
                return file.read()

    def write(self, content: bytes) -> None:
        """Put a file in place, whole or not at all: by rename on a disk; an upload appears when it is complete."""
        with told(self.uri):
            if self.remote:
                filesystem, path = self._open()
                with filesystem.open_output_stream(path) as stream:
                    stream.write(content)
            else:
                with drafted(Path(self.uri)) as draft:
                    draft.write_bytes(content)

    def _open(self) -> tuple[fs.FileSystem, str]:
        if not self.remote:
            return fs.LocalFileSystem(), self.uri
        try:
            return fs.FileSystem.from_uri(self.uri)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"not a place to write to: {self}: {error}; wanted a folder, s3://, gs:// or abfs://"
            ) from error


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Tell failures of a file system in our terms; a missing file stays a FileNotFoundError.

    Raises:
        AccessError: No permission.
        InputError: No such bucket.
        TransientError: Anything else.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refusal(error, uri) from error


def _refusal(error: OSError, uri: str) -> SscError:
    """The libraries below tell what happened by words only."""
    text = " ".join(str(error).split())
    if isinstance(error, PermissionError) or re.search(r"AccessDenied|\b403\b|Unauthorized", text):
        return AccessError(f"no permission at {uri}: {text}; check the folder's rights, or the credentials")
    if re.search(r"NoSuchBucket|\b404\b|Bucket not found|does not exist", text):
        return InputError(f"no such place: {uri}: found {text}, wanted an existing bucket")
    return TransientError(f"cannot reach {uri}: {text}")
