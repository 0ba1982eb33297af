"""Downloads from real servers on loopback that fail in every way we know; whole files or one reason come out."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests

from ssc.bands import Band, Layer
from ssc.cache import Cache
from ssc.download import Downloader
from ssc.errors import AccessError, DataError, InputError, TransientError
from ssc.gdal import FAILURES, MissingFileError
from ssc.granules import locate, parse
from ssc.intact import read_through
from ssc.transfer import Patience, RemoteFile

GRANULE = parse("HLS.L30.T15SXR.2021250T163901.v2.0")
NAME = GRANULE.file_name(Band.RED)
ROOT = Path(__file__).resolve().parent.parent
QUICK = Patience(first_s=0.01, most_s=0.05, timeout_s=(2, 0.5), slow_s=0.4, slow_bytes=5000, asked_s=3)
CANARY = "CANARY8f3a"


class Handler(BaseHTTPRequestHandler):
    """Ranges and ETags as S3 has them; the next of `server.faults`, if any, comes first."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        name = self.path.partition("?")[0].rpartition("/")[2]
        with server.lock:
            server.asked.append((time.monotonic(), name, dict(self.headers)))
            fault = server.faults.pop(0) if server.faults else ""
        data = server.files.get(name)
        kind, _, value = fault.partition(" ")
        if kind == "redirect":
            return self.send(302, b"", Location=f"{value}/{name}?X-Amz-Signature={CANARY}")
        if kind.isdigit():
            return self.send(int(kind), b"EULA Acceptance Failure" if value == "EULA" else b"no", **server.extra(value))
        if data is None:
            return self.send(404, b"none")
        if kind == "page":
            return self.send(200, b"<!DOCTYPE html>", **{"Content-Type": "text/html"})
        if kind == "truncated":
            data = data[: len(data) // 2]
        if kind == "older":
            data, kind = bytes(reversed(data)), "cut"
        if kind == "flip":
            data = flipped(data)
        return self.serve(data, kind, int(value or 0))

    def serve(self, data, kind, value):
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) == etag:
            start = int(asked[1])
            if start >= len(data):
                return self.send(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
        spans = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.send_response(206 if start else 200)
        tags = {} if kind == "untagged-cut" else {"ETag": etag}
        for key, text in {"Content-Length": str(len(data) - start), **tags, **spans}.items():
            self.send_header(key, text)
        self.end_headers()
        self.body(data[start:], kind, value)
        return None

    def body(self, data, kind, value):
        step = self.server.step
        if kind in {"cut", "untagged-cut", "stall", "drip"}:
            self.wfile.write(data[:value])
            self.wfile.flush()
            self.close_connection = True
            if kind == "stall":
                time.sleep(1)
            for byte in data[value : value + 12] if kind == "drip" else b"":
                time.sleep(0.1)
                self.wfile.write(bytes([byte]))
            return
        for at in range(0, len(data), step or len(data)):
            self.wfile.write(data[at : at + (step or len(data))])
            if step:
                self.wfile.flush()
                time.sleep(0.05)

    def send(self, status, body, **headers):
        self.send_response(status)
        for key, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is no news."""

    @staticmethod
    def extra(value):
        return {"Retry-After": value} if value.isdigit() else {}


@contextmanager
def serving(files):
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.faults, server.asked, server.step, server.lock = files, [], [], 0, threading.Lock()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def flipped(data):
    """One bit among the pixels, where no header is."""
    at = len(data) * 3 // 4
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


@pytest.fixture(scope="module")
def geotiff(tmp_path_factory):
    """A COG of 4 x 4 blocks and an overview, about 400 kB of noise."""
    path = tmp_path_factory.mktemp("cog") / "one.tif"
    pixels = np.random.default_rng(5).integers(0, 3000, (512, 512)).astype("int16")
    profile = {"driver": "COG", "height": 512, "width": 512, "count": 1, "dtype": "int16", "blocksize": 128}
    grid = {"crs": "EPSG:32615", "transform": rasterio.Affine(30, 0, 500_000, 0, -30, 4_000_000)}
    with rasterio.open(path, "w", compress="deflate", **profile, **grid) as out:
        out.write(pixels, 1)
    return path.read_bytes()


@pytest.fixture
def server(geotiff):
    with serving(
        {GRANULE.file_name(each): geotiff for each in (Band.RED, Band.NIR, Band.BLUE, Layer.FMASK)}
    ) as running:
        yield running


@pytest.fixture
def session():
    with requests.Session() as made:
        yield made


@pytest.fixture
def downloader(session, tmp_path):
    with Downloader(session, tmp_path / "cache", rate=1000, patience=QUICK) as made:
        yield made


def remote(server, name=NAME, query="", **known):
    return RemoteFile(name=name, url=f"{server.url}/{name}{query}", **known)


def one(downloader, file):
    with downloader.holding([file]) as (result,):
        return result


def left(folder):
    """All files but the tag of the cache."""
    return sorted(path.name for path in folder.iterdir() if path.name != "CACHEDIR.TAG")


def ranges(server):
    return [headers.get("Range") for _, _, headers in server.asked]


def test_a_granule_comes_whole_and_is_not_fetched_again(server, downloader, tmp_path, geotiff):
    layers = [Band.RED, Band.NIR, Band.BLUE, Layer.FMASK]
    granule = locate(server.url, GRANULE)
    for _ in range(2):
        with downloader.local(granule, layers) as local:
            assert {Path(local.hrefs[layer]).read_bytes() for layer in layers} == {geotiff}
    assert len(server.asked) == 4
    assert left(tmp_path / "cache") == sorted(GRANULE.file_name(layer) for layer in layers)


def test_what_lies_on_disk_stays_there(server, downloader, tmp_path):
    granule = parse(tmp_path / NAME)
    with downloader.local(granule) as local:
        assert local.hrefs == {Band.RED: str(tmp_path / NAME)}
    assert server.asked == []


def test_a_cut_connection_is_resumed_where_it_broke(server, downloader, geotiff):
    server.faults = ["cut 100000", "cut 100000", "stall 100000"]
    result = one(downloader, remote(server))
    assert result.path.read_bytes() == geotiff
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert all(headers["If-Range"].startswith('"') for _, _, headers in server.asked[1:])


def test_a_file_that_changed_meanwhile_is_begun_anew(server, downloader, geotiff):
    server.faults = ["older 100000"]
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    assert ranges(server) == [None, "bytes=100000-"]
    assert server.asked[1][2]["If-Range"] != f'"{hashlib.md5(geotiff).hexdigest()}"'


def _until(true, seconds=5.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def test_without_an_etag_nothing_is_built_upon(server, downloader, geotiff):
    server.faults = ["untagged-cut 100000"]
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    assert ranges(server) == [None, None]


def test_a_drip_is_cut_and_resumed(server, downloader, geotiff):
    server.faults = ["drip 100000", "drip 100"]
    started = time.monotonic()
    result = one(downloader, remote(server))
    assert result.path.read_bytes() == geotiff
    assert time.monotonic() - started < 4
    assert len(server.asked) >= 2


def test_retry_after_is_waited_for_by_all(server, downloader):
    server.faults = ["429 1"]
    files = [remote(server), remote(server, GRANULE.file_name(Band.NIR))]
    with downloader.holding(files[:1]) as first:
        assert first[0].error is None
    waited = server.asked[1][0] - server.asked[0][0]
    assert 1.0 <= waited < 1.6


def test_a_pause_that_is_too_long_is_given_up(server, downloader, tmp_path):
    server.faults = ["503 3600"]
    started = time.monotonic()
    assert isinstance(one(downloader, remote(server)).error, TransientError)
    assert one(downloader, remote(server)).error is None  # and holds up nobody else
    assert time.monotonic() - started < 2


def test_a_burst_of_503_passes(server, downloader, geotiff):
    server.faults = ["503", "500", "429", "502"]
    assert one(downloader, remote(server)).path.read_bytes() == geotiff


def test_trouble_that_stays_is_one_error_and_no_file(server, downloader, tmp_path):
    server.faults = ["503"] * 50
    error = one(downloader, remote(server)).error
    assert isinstance(error, TransientError)
    assert "HTTP 503" in str(error)
    assert NAME in str(error)
    assert len(server.asked) == QUICK.tries
    assert left(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("401", AccessError, "token may have expired"),
        ("403", AccessError, "HTTP 403"),
        ("403 EULA", AccessError, "accept the licence"),
        ("404", MissingFileError, "missing file"),
        ("400", DataError, "HTTP 400"),
        ("page", DataError, "web page"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(server, downloader, tmp_path, fault, kind, told):
    server.faults = [fault] * 9
    error = one(downloader, remote(server)).error
    assert isinstance(error, kind)
    assert told in str(error)
    assert len(server.asked) == 1
    assert left(tmp_path / "cache") == []


def test_a_refused_login_is_not_offered_for_every_file(session, server, tmp_path):
    server.faults = ["401"] * 99
    files = [remote(server, GRANULE.file_name(band)) for band in (Band.RED, Band.NIR, Band.BLUE)]
    with (
        Downloader(session, tmp_path / "cache", workers=1, patience=QUICK) as downloader,
        downloader.holding(files) as results,
    ):
        assert [type(result.error) for result in results] == [AccessError] * 3
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["truncated", "flip"])
def test_damage_on_the_way_is_healed_and_damage_that_stays_is_told(server, downloader, tmp_path, geotiff, fault):
    server.faults = [fault]
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    (tmp_path / "cache" / NAME).unlink()
    server.faults = [fault] * 9
    error = one(downloader, remote(server)).error
    assert isinstance(error, DataError)
    assert str(error).startswith("truncated or damaged file: http://127.0.0.1")
    assert ".part" not in str(error)
    assert len(server.asked) == 4
    assert left(tmp_path / "cache") == []


def test_flips_anywhere_in_the_pixels_are_seen(geotiff, tmp_path):
    path = tmp_path / "flipped.tif"
    for at in np.random.default_rng(2).integers(5000, len(geotiff) - 5000, 25):
        path.write_bytes(geotiff[:at] + bytes([geotiff[at] ^ 1]) + geotiff[at + 1 :])
        with pytest.raises(FAILURES):
            read_through(path)


def test_size_and_checksum_of_the_catalogue_count(server, downloader, tmp_path, geotiff):
    digest = hashlib.sha512(geotiff).hexdigest()
    assert one(downloader, remote(server, size=len(geotiff), checksum=("SHA-512", digest))).error is None
    assert "wrong size" in str(one(downloader, remote(server, size=len(geotiff) + 1)).error)
    (tmp_path / "cache" / NAME).unlink()
    assert "wrong SHA-512" in str(one(downloader, remote(server, checksum=("SHA-512", "00"))).error)
    assert isinstance(one(downloader, remote(server, checksum=("ROT-13", "00"))).error, InputError)
    assert left(tmp_path / "cache") == []


def test_a_file_cut_on_disk_is_fetched_again(server, downloader, geotiff):
    path = one(downloader, remote(server)).path
    path.write_bytes(geotiff[:-2000])
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    assert len(server.asked) == 2


@pytest.mark.parametrize("faults", [[], ["flip"], ["cut 100000", "429", "flip"]])
def test_several_downloaders_of_one_file_end_with_one(server, tmp_path, geotiff, faults):
    """Each has its own locks on its own open files, as processes have; a try that failed lets nobody else in."""
    server.step, server.faults = 100_000, list(faults)

    def fetch(_):
        with requests.Session() as session, Downloader(session, tmp_path / "cache", patience=QUICK) as downloader:
            return one(downloader, remote(server)).path.read_bytes()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(fetch, range(3))) == [geotiff] * 3
    assert len(server.asked) == 1 + len(faults)
    assert left(tmp_path / "cache") == [NAME]


CHILD = """
import sys, requests
from pathlib import Path
from ssc.download import Downloader
from ssc.transfer import RemoteFile
name, url, folder = sys.argv[1:]
with requests.Session() as s, Downloader(s, Path(folder)) as d, d.holding([RemoteFile(name=name, url=url)]) as r:
    sys.exit(r[0].error is not None)
"""


def test_a_killed_download_is_resumed_by_the_next_process(server, downloader, tmp_path, geotiff):
    server.step = 30_000
    folder = tmp_path / "cache"
    command = [sys.executable, "-c", CHILD, NAME, f"{server.url}/{NAME}", str(folder)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    part = folder / f".{NAME}.part"
    _until(lambda: part.exists() and part.stat().st_size > 90_000, seconds=30)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    had = part.stat().st_size
    server.step = 0
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    assert ranges(server)[-1] == f"bytes={had}-"
    assert left(folder) == [NAME]


def test_a_part_that_a_kill_left_complete_is_put_in_place(server, downloader, tmp_path, geotiff):
    part = tmp_path / "cache" / f".{NAME}.part"
    part.write_bytes(geotiff)
    part.with_name(part.name + ".etag").write_text(f'"{hashlib.md5(geotiff).hexdigest()}"')
    assert one(downloader, remote(server)).path.read_bytes() == geotiff
    assert ranges(server) == [f"bytes={len(geotiff)}-"]
    assert left(tmp_path / "cache") == [NAME]


def test_the_least_recently_used_goes_and_what_is_in_use_stays(session, server, tmp_path, geotiff):
    folder, bands = tmp_path / "cache", (Band.RED, Band.NIR, Band.BLUE)
    red, nir, blue = (remote(server, GRANULE.file_name(band)) for band in bands)
    with Downloader(session, folder, budget_bytes=2 * len(geotiff) + 10, patience=QUICK) as downloader:
        for file in (red, nir, red, blue):  # red is used again, so NIR is the oldest
            one(downloader, file)
            time.sleep(0.02)
        assert left(folder) == sorted([red.name, blue.name])
        with downloader.holding([red]), downloader.holding([blue]):
            assert "cache full" in str(one(downloader, nir).error)
            assert left(folder) == sorted([red.name, blue.name])
        assert one(downloader, nir).error is None
        assert left(folder) == sorted([blue.name, nir.name])


def test_a_cache_too_small_for_one_file_says_so(session, server, tmp_path, geotiff):
    with Downloader(session, tmp_path / "cache", budget_bytes=len(geotiff) - 1, patience=QUICK) as downloader:
        error = one(downloader, remote(server)).error
    assert isinstance(error, InputError)
    assert left(tmp_path / "cache") == []


def test_a_folder_of_other_files_is_no_cache(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a cache"):
        Cache(tmp_path, 1000)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_cache_that_cannot_be_written_is_told(server, downloader, tmp_path):
    (tmp_path / "cache" / f".{NAME}.part").mkdir()
    error = one(downloader, remote(server)).error
    assert isinstance(error, TransientError)
    assert "no use of the cache" in str(error)


def test_requests_are_spread_by_the_rate(session, server, tmp_path):
    files = [remote(server, GRANULE.file_name(band)) for band in (Band.RED, Band.NIR, Band.BLUE)]
    with Downloader(session, tmp_path / "cache", rate=5, patience=QUICK) as downloader, downloader.holding(files):
        times = [when for when, _, _ in server.asked]
    assert min(np.diff(times)) > 0.15


def test_secrets_of_addresses_appear_nowhere(server, downloader, tmp_path, geotiff, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(downloader._session, "headers", {"Authorization": f"Bearer {CANARY}"})
    with serving(server.files) as elsewhere:
        server.faults = [f"redirect http://localhost:{elsewhere.server_port}"] * 20
        elsewhere.faults = ["cut 1000", "503", "drip 100"]
        file = remote(server, query=f"?token={CANARY}")
        result = one(downloader, file)
        assert result.path.read_bytes() == geotiff
        assert [headers.get("Authorization") for _, _, headers in elsewhere.asked] == [None] * len(elsewhere.asked)
        elsewhere.faults = ["403"]
        refused = one(downloader, remote(server, GRANULE.file_name(Band.NIR), query=f"?token={CANARY}"))
    dead = RemoteFile(name=GRANULE.file_name(Band.BLUE), url=f"http://u:{CANARY}@127.0.0.1:9/x.tif?token={CANARY}")
    lost = one(downloader, dead)
    shown = [repr(file), str(refused), str(lost), repr(refused.error), repr(lost.error), caplog.text]
    assert "urllib3" in caplog.text  # it did speak
    assert [CANARY in text for text in shown] == [False] * len(shown)
    assert not any(CANARY.encode() in path.read_bytes() for path in (tmp_path / "cache").iterdir())
