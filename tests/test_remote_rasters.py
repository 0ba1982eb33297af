"""Reading granules over https and s3, against servers on loopback that may fail in every way."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.env import get_gdal_config

from rangeserver import serving
from ssc.bands import SIX, Band, Layer
from ssc.errors import AccessError, DataError, SscError, TransientError
from ssc.gdal import configured
from ssc.granules import find, locate, parse
from ssc.observation import Window
from ssc.rasters import open_granule
from tiny import S30, write_granule

SIZE = 512
"""Rows and columns; four blocks, so that a window need not fetch a whole file."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """GDAL gives up at once; what our login is does not matter here."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("EARTHDATA_TOKEN", "NETRC", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return write_granule(tmp_path_factory.mktemp("remote"), size=SIZE)


@pytest.fixture
def server(local):
    with serving(Path(local.href(Band.RED)).parent) as server:
        yield server


@pytest.fixture
def remote(server):
    """The granule on the server, found as a user would name it."""
    (granule,) = find(f"{server.url}/HLSS30.020/{S30}")
    return granule


def test_reads_what_the_files_hold(local, remote):
    with open_granule(local) as here, open_granule(remote) as there:
        np.testing.assert_array_equal(there.read().reflectance, here.read().reflectance)
        np.testing.assert_array_equal(there.read().fmask, here.read().fmask)
        np.testing.assert_array_equal(there.angles().view_azimuth, here.angles().view_azimuth)
        assert there.facts.geobox == here.facts.geobox
        assert there.facts.directions == here.facts.directions
        assert there.facts.sensed == here.facts.sensed


def test_a_window_costs_its_blocks_only(server, remote, local):
    with open_granule(remote) as reader:
        opening = server.sent
        reader.read((Band.RED,), Window(row=300, col=300, height=200, width=200))
    size = Path(local.href(Band.RED)).stat().st_size
    assert opening <= 7 * 2 * 32_768  # a header and a bit of each
    assert server.sent - opening < 0.35 * size


def test_every_file_is_asked_for_by_name_and_no_other(server, remote):
    with open_granule(remote) as reader:
        reader.angles()
    asked = {path.rpartition("/")[2] for _, path, _ in server.requests}
    layers = [*SIX, *Layer]
    assert asked == {remote.file_name(layer) for layer in layers}  # no listings, .aux.xml, .ovr or .msk


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("401", AccessError, "HTTP 401"),
        ("403", AccessError, "HTTP 403"),
        ("404", DataError, "missing file"),
        ("410", DataError, "missing file"),
        ("418", DataError, "HTTP 418"),
        ("429", TransientError, "HTTP 429"),
        ("500", TransientError, "HTTP 500"),
        ("502", TransientError, "HTTP 502"),
        ("503", TransientError, "HTTP 503"),
        ("504", TransientError, "HTTP 504"),
        ("drop", TransientError, "connection failed"),
        ("cut", TransientError, "connection failed"),
        ("login page", DataError, "not a TIFF"),
    ],
)
def test_failures(server, remote, answer, kind, words):
    server.answer = answer
    with pytest.raises(SscError) as told, open_granule(remote) as reader:
        reader.read()
    assert isinstance(told.value, kind)
    message = str(told.value)
    assert words in message
    assert S30 in message
    assert "found" in message
    assert "wanted" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("401", AccessError), ("403", AccessError), ("404", DataError), ("500", TransientError), ("cut", TransientError)],
)
def test_failures_after_opening(server, remote, answer, kind):
    """GDAL does not say why a range request failed: the reader knocks again and hears."""
    with open_granule(remote) as reader:
        server.answer, server.only = answer, ".B8A."
        with pytest.raises(kind, match=f"{S30}.B8A.tif"):
            reader.read()


def test_a_server_that_does_not_answer(server, remote, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    server.answer = "stall"
    with pytest.raises(TransientError, match="timed out"):
        open_granule(remote)


def test_nobody_there():
    with pytest.raises(TransientError, match=r"connection failed: http://127.0.0.1:9/.*B02.tif"):
        open_granule(locate(f"http://127.0.0.1:9/{S30}", parse(S30)))


@pytest.mark.parametrize("answer", ["503", "404", "401", "drop", "cut", "login page"])
def test_a_failure_is_forgotten_by_the_next_try(server, remote, answer):
    """GDAL keeps answers, also bad ones, unless told not to: a retry in the same process would never succeed."""
    server.answer = answer
    with pytest.raises(SscError), open_granule(remote) as reader:
        reader.read()
    server.answer = "serve"
    with open_granule(remote) as reader:
        assert reader.read().valid.all()


def test_short_trouble_is_not_even_noticed(server, remote, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "3")
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.05")
    server.answer, server.times = "503", 1
    with open_granule(remote) as reader:
        assert reader.read().valid.all()


def test_missing_angle_layers_are_the_means_of_the_tags(server, remote):
    server.answer, server.only = "404", "ZA."
    with open_granule(remote) as reader:
        angles = reader.angles()
    np.testing.assert_array_equal(angles.sun_zenith, np.full((32, 32), 30.72, np.float32))
    assert np.ptp(angles.sun_azimuth) > 0.5


def test_angle_layers_that_are_refused_are_not_missing(server, remote):
    with open_granule(remote) as reader:
        server.answer, server.only = "403", "SZA."
        with pytest.raises(AccessError, match=r"SZA\.tif"):
            reader.angles()


class TestSecrets:
    def signed(self, remote):
        """Locations as a signing service gives them out."""
        return replace(
            remote,
            hrefs={
                layer: f"{href.replace('://', '://me:hunter2@')}?X-Amz-Signature=hunter2&file=a.tif"
                for layer, href in remote.hrefs.items()
            },
        )

    def test_signed_locations_are_read(self, remote):
        with open_granule(self.signed(remote)) as reader:
            assert reader.read().valid.all()

    @pytest.mark.parametrize("answer", ["401", "404", "500", "drop", "cut", "login page"])
    def test_nothing_secret_is_told(self, server, remote, answer, caplog):
        caplog.set_level(logging.WARNING)
        server.answer = answer
        with pytest.raises(SscError) as told, open_granule(self.signed(remote)) as reader:
            reader.read()
        assert "hunter2" not in str(told.value)
        assert f"{server.url}/HLSS30.020/{S30}/{S30}." in str(told.value)

    def test_the_token_goes_to_earthdata_alone(self, server, remote, monkeypatch):
        monkeypatch.setenv("EARTHDATA_TOKEN", "hunter2")
        for href in ("https://data.lpdaac.earthdatacloud.nasa.gov/a.tif", "https://urs.earthdata.nasa.gov/a.tif"):
            assert configured(href).options["GDAL_HTTP_HEADERS"] == "Authorization: Bearer hunter2"
        for href in (
            "http://data.lpdaac.earthdatacloud.nasa.gov/a.tif",  # not encrypted
            "https://earthdata.nasa.gov.elsewhere.org/a.tif",
            "https://elsewhere.org/.earthdata.nasa.gov/a.tif",
            "https://data.earthdata.nasa.gov@elsewhere.org/a.tif",
            "s3://lp-prod-protected/a.tif",
            "/data/a.tif",
        ):
            assert "hunter2" not in str(configured(href).options)
        open_granule(remote).close()
        assert not [headers for _, _, headers in server.requests if "Authorization" in headers]

    def test_the_token_stays_behind_on_a_redirect(self, server, remote, monkeypatch):
        """As LP DAAC does: it sends the bearer of a token on to a signed location on another host."""
        monkeypatch.setenv("GDAL_HTTP_HEADERS", "Authorization: Bearer hunter2")
        with serving(server.folder) as storage:
            server.answer = f"302 {storage.url.replace('127.0.0.1', 'localhost')}"
            with open_granule(remote) as reader:
                assert reader.read().valid.all()
            assert all(headers["Authorization"] == "Bearer hunter2" for _, _, headers in server.requests)
            assert storage.requests
            assert not [headers for _, _, headers in storage.requests if "Authorization" in headers]

    def test_cookies_of_a_netrc_login_are_private(self, monkeypatch):
        monkeypatch.setenv("NETRC", "/home/me/netrc")
        options = configured("https://data.lpdaac.earthdatacloud.nasa.gov/a.tif").options
        assert options["GDAL_HTTP_NETRC_FILE"] == "/home/me/netrc"
        assert options["GDAL_HTTP_COOKIEFILE"] == options["GDAL_HTTP_COOKIEJAR"]
        assert stat.S_IMODE(Path(options["GDAL_HTTP_COOKIEJAR"]).parent.stat().st_mode) == 0o700


def test_settings_of_the_environment_win(monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    options = configured("https://host/x.tif").options
    assert "GDAL_HTTP_TIMEOUT" not in options
    assert options["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"


@pytest.fixture(scope="module")
def bucket(local):
    """Endpoint of an S3 that holds the granule."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    login = {"aws_access_key_id": "me", "aws_secret_access_key": "hunter2", "region_name": "us-west-2"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **login)
    place = {"LocationConstraint": "us-west-2"}
    client.create_bucket(Bucket="lp-prod-protected", CreateBucketConfiguration=place)
    for href in local.hrefs.values():
        client.upload_file(href, "lp-prod-protected", f"HLSS30.020/{S30}/{Path(href).name}")
    client.close()
    yield f"{host}:{port}"
    server.stop()


@pytest.mark.skipif("GDAL_CACHEMAX" in os.environ, reason="the environment sets the size of the block cache")
def test_the_block_cache_is_bounded_for_the_process(local):
    open_granule(local).close()
    with rasterio.Env():
        assert get_gdal_config("GDAL_CACHEMAX") == 256 * 2**20


class TestS3:
    @pytest.fixture(autouse=True)
    def login(self, monkeypatch):
        settings = {"AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_EC2_METADATA_DISABLED": "TRUE"}
        for name, value in (settings | {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "hunter2"}).items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def remote(self, bucket, monkeypatch):
        monkeypatch.setenv("AWS_S3_ENDPOINT", bucket)
        (granule,) = find(f"s3://lp-prod-protected/HLSS30.020/{S30}")
        return granule

    def test_reads_what_the_files_hold(self, local, remote):
        with open_granule(local) as here, open_granule(remote) as there:
            np.testing.assert_array_equal(there.read().reflectance, here.read().reflectance)
            np.testing.assert_array_equal(there.angles().sun_zenith, here.angles().sun_zenith)

    def test_missing_object(self, remote):
        elsewhere = locate(f"s3://lp-prod-protected/nowhere/{S30}", remote)
        with pytest.raises(DataError, match=rf"missing file: s3://lp-prod-protected/nowhere/{S30}/{S30}\.B02\.tif"):
            open_granule(elsewhere)

    def test_without_credentials(self, remote, monkeypatch, tmp_path):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("HOME", str(tmp_path))  # no ~/.aws either
        with pytest.raises(AccessError, match="found no valid credentials"):
            open_granule(remote)

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            ("403 AccessDenied Access Denied", AccessError),
            ("403 SignatureDoesNotMatch The request signature we calculated does not match", AccessError),
            ("403 InvalidAccessKeyId The AWS Access Key Id you provided does not exist in our records.", AccessError),
            ("400 ExpiredToken The provided token has expired.", AccessError),
            ("404 NoSuchKey The specified key does not exist.", DataError),
            ("404 NoSuchBucket The specified bucket does not exist", DataError),
            ("503 SlowDown Please reduce your request rate.", TransientError),
            ("500 InternalError We encountered an internal error. Please try again.", TransientError),
            ("drop", TransientError),
        ],
    )
    def test_refusals(self, server, remote, monkeypatch, answer, kind):
        monkeypatch.setenv("AWS_S3_ENDPOINT", server.url.removeprefix("http://"))
        server.answer = answer
        with pytest.raises(kind, match=rf"s3://lp-prod-protected/.*{S30}\.B02\.tif: found .*, wanted ") as told:
            open_granule(remote)
        assert "hunter2" not in str(told.value)
