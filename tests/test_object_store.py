"""The same store in an object store: S3 as moto speaks it, on loopback."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import numpy as np
import pandas as pd
import pytest

from ssc.errors import InputError
from ssc.exports import export
from ssc.ledger import Entry
from ssc.overlaps import resolve
from ssc.results import open_store
from ssc.schema import KEY
from tables import REACHES, make_reaches, make_rows, on_tile

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def bucket():
    """A bucket and the environment that leads to it.

    The server has a process of its own: some calls of deltalake hold Python's lock while they wait for an answer.
    """
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server, pytest.MonkeyPatch.context() as patch:
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="rivers")
        yield "s3://rivers"
        server.kill()


def test_a_store_in_s3_is_a_store(bucket, tmp_path):
    near, far = open_store(tmp_path / "store", create=True), open_store(f"{bucket}/some/store/", create=True)
    rows = make_rows()
    for store in (near, far):
        store.write(on_tile(rows, "15SXR", 0.3), resolve=resolve)
        store.write(on_tile(rows, "15SXS", 0.9).assign(ssc=np.float32(7)), resolve=resolve)
        store.write_reaches(make_reaches())
        store.write_reaches(make_reaches())
        store.ledger.write([Entry(granule_id="a", masker="m", regressor="r", status="cloudy", settings_hash="h")])
        store.write_run({"run": "20261121T120000Z-ab", "counts": {}})
    far = open_store(f"{bucket}/some/store")
    pd.testing.assert_frame_equal(far.query(), near.query())
    pd.testing.assert_frame_equal(far.query([REACHES[0]], end="2021-09-06"), near.query([REACHES[0]], end="2021-09-06"))
    pd.testing.assert_frame_equal(far.geo(), near.geo())
    assert far.ledger.done("m", "r") == {"a": "h"}
    assert far.runs() == near.runs()
    version = far.results.version
    assert far.write(on_tile(rows, "15SXR", 0.3), resolve=resolve).outranked == 12
    assert far.results.version == version
    for name in ("csv", "geojson"):
        found, wanted = (
            export(store, tmp_path / f"{kind}.{name}", name) for kind, store in (("far", far), ("near", near))
        )
        assert found.read_bytes() == wanted.read_bytes()


def test_writers_at_once_lose_nothing_in_s3(bucket):
    """Commits are conditional puts, so one of two writers of a version fails and computes its change again."""
    open_store(f"{bucket}/busy", create=True)
    parts = [make_rows(first=f"2021-0{month}-01T16:00:00Z") for month in range(1, 5)]
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda rows: open_store(f"{bucket}/busy").write(rows).inserted, parts))
    assert counts == [12] * 4
    found = open_store(f"{bucket}/busy").query(columns=KEY)
    assert len(found) == 48
    assert not found.duplicated().any()


def test_what_is_no_store_in_s3_is_refused(bucket):
    with pytest.raises(InputError, match="no results store at s3://rivers/nothing"):
        open_store(f"{bucket}/nothing")
    with pytest.raises(InputError, match="no such place: s3://nowhere/store"):
        open_store("s3://nowhere/store", create=True)
    boto3.client("s3").put_object(Bucket="rivers", Key="photos/cat.jpg", Body=b"")
    with pytest.raises(InputError, match=r"not a results store: .* holds cat\.jpg"):
        open_store(f"{bucket}/photos", create=True)
