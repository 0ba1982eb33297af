"""Hashes that change with settings and nothing else; records that tell all but secrets."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssc.bands import Band
from ssc.errors import InputError
from ssc.provenance import code_commit, code_version, run_record, settings_hash, without_secrets
from ssc.results import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    buffer_px: int = 2
    share: float = 0.3
    bands: tuple[Band, ...] = (Band.RED,)


def test_hash_is_this_one_for_good():
    """A resumed run compares with hashes written by earlier versions."""
    settings = {"masker": "mndwi", "rule": Rule(), "dem": None, "least": 8.0, "path": Path("a/b.tif"), "on": True}
    assert settings_hash(settings) == "d9298634358d245a"
    text = '{"dem":null,"least":8,"masker":"mndwi","on":true,"path":"a/b.tif","rule":'
    text += '{"bands":["red"],"buffer_px":2,"share":0.3}}'
    assert settings_hash(settings) == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "same",
    [
        {"b": (2.0, "x"), "a": 1},
        {"a": np.int64(1), "b": [np.float32(2), Path("x")]},
        {"a": 1.0, "b": np.array([2, "x"], dtype=object)},
    ],
)
def test_hash_does_not_know_how_a_value_was_written(same):
    assert settings_hash(same) == settings_hash({"a": 1, "b": [2, "x"]})


@pytest.mark.parametrize(
    "other",
    [
        Rule(buffer_px=3),
        Rule(share=np.nextafter(0.3, 1)),
        Rule(bands=(Band.RED, Band.NIR)),
        Rule(bands=()),
        replace(Rule(), share=float("nan")),
    ],
)
def test_hash_changes_with_every_setting(other):
    assert settings_hash({"rule": other}) != settings_hash({"rule": Rule()})


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans(), st.floats(), st.none())))
def test_order_of_keys_does_not_count(settings):
    assert settings_hash(dict(reversed(settings.items()))) == settings_hash(settings)


def test_sets_hash_alike_in_every_process():
    code = (
        "from ssc.provenance import settings_hash; print(settings_hash({'a': set('abcdefgh'), 'b': frozenset({1, 2})}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in "01"
    }
    assert found == {settings_hash({"a": list("abcdefgh"), "b": [1, 2]}) + "\n"}


def test_what_has_no_form_is_refused():
    with pytest.raises(InputError, match="cannot hash a setting: found object"):
        settings_hash({"a": object()})


def test_version_is_the_package_and_commit_is_the_checkout():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", code_version())
    assert code_commit() is None or re.fullmatch(r"[0-9a-f]{40}\+?", code_commit())


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--token", "abc", "x"], ["--token", "***", "x"]),
        (["--password=abc"], ["--password=***"]),
        (["EARTHDATA_TOKEN=abc"], ["EARTHDATA_TOKEN=***"]),
        (["https://me:pw@host/a.tif"], ["https://***@host/a.tif"]),
        (["https://host/a.tif?X-Amz-Signature=abc&b=1"], ["https://host/a.tif?***"]),
        (["s3://bucket/HLS.S30", "--reach", "74299900011"], ["s3://bucket/HLS.S30", "--reach", "74299900011"]),
        (["--start=2021-01-01", "--bbox", "-92"], ["--start=2021-01-01", "--bbox", "-92"]),
    ],
)
def test_secrets_stay_out_of_records(arguments, kept):
    assert without_secrets(arguments) == kept


def test_run_record_reads_back(tmp_path):
    store = open_store(tmp_path / "store", create=True)
    started = datetime(2026, 11, 21, 12, tzinfo=UTC)
    record = run_record(
        arguments=["ssc", "estimate", "--token", "abc"],
        settings={"rule": Rule()},
        counts={"estimated": np.int64(3)},
        started=started,
    )
    place = store.write_run(record)
    assert Path(place.uri).name.startswith(f"20261121T120000Z-{settings_hash({'rule': Rule()})[:8]}-")
    (found,) = store.runs()
    assert found == json.loads(json.dumps(record))
    assert "abc" not in json.dumps(found)
    assert found["counts"] == {"estimated": 3}
    assert found["settings"] == {"rule": {"bands": ["red"], "buffer_px": 2, "share": 0.3}}
    assert {"numpy", "deltalake", "rasterio"} <= set(found["libraries"])
