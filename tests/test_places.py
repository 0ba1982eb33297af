"""Folders and files, and what their failures mean to us."""

from __future__ import annotations

import pytest

from ssc.drafts import drafted
from ssc.errors import AccessError, InputError, TransientError
from ssc.places import Place, told


def test_a_file_reads_back_and_is_listed(tmp_path):
    place = Place.of(tmp_path) / "deep" / "file.json"
    place.write(b"one")
    place.write(b"two")
    assert place.read() == b"two"
    assert (Place.of(tmp_path) / "deep").names() == ["file.json"]
    assert (Place.of(tmp_path) / "nothing").names() == []


def test_what_is_missing_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        (Place.of(tmp_path) / "file").read()


def test_an_error_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), drafted(path) as draft:
        draft.write_bytes(b"x" * (1 // draft.write_text("")))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(13, "Permission denied"), AccessError),
        (OSError("Server returned non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>"), AccessError),
        (OSError("AWS Error NO_SUCH_BUCKET: Bucket not found"), InputError),
        (OSError("404 Not Found <Code>NoSuchBucket</Code>"), InputError),
        (OSError("error sending request\noperation timed out"), TransientError),
        (OSError(28, "No space left on device"), TransientError),
        (FileNotFoundError("x"), FileNotFoundError),
    ],
)
def test_failures_in_our_terms(error, kind):
    with pytest.raises(kind) as caught, told("s3://bucket/store"):
        raise error
    assert kind is FileNotFoundError or "s3://bucket/store" in str(caught.value)
    assert "\n" not in str(caught.value)
