"""Names, files and places of granules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssc.bands import CODES, SIX, Band, Layer, Product
from ssc.errors import BandError, DataError, GranuleNameError, InputError
from ssc.granules import Granule, find, gather, locate, parse

S30 = "HLS.S30.T15SXR.2021250T163901.v2.0"
L30 = "HLS.L30.T22VEQ.2021248T143156.v2.0"

TILES = st.builds(
    "{:02d}{}{}{}".format,
    st.integers(1, 60),
    st.sampled_from("CDEFGHJKLMNPQRSTUVWX"),
    st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ"),
    st.sampled_from("ABCDEFGHJKLMNPQRSTUV"),
)
TIMES = st.integers(1_360_000_000, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
GRANULES = st.builds(
    lambda product, tile, acquired: Granule(product=product, tile=tile, acquired=acquired),
    st.sampled_from(Product),
    TILES,
    TIMES,
)


@given(GRANULES)
def test_a_name_is_read_as_it_was_written(granule):
    assert parse(granule.name) == granule
    assert hash(parse(granule.name)) == hash(granule)


@given(GRANULES, st.data())
def test_every_file_name_leads_to_its_granule_and_layer(granule, data):
    layer = data.draw(st.sampled_from([*CODES[granule.product], *Layer]))
    place = f"/data/{granule.name}/{granule.file_name(layer)}"
    found = parse(place)
    assert found == granule
    assert dict(found.hrefs) == {layer: place}


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text):
    with pytest.raises(GranuleNameError):
        parse(text)


@pytest.mark.parametrize(
    "name",
    [
        "HLS.S30.T15SXR.2021250T163901.v2.0.B04.jpg",
        "HLS.S30.T15SXR.2021250T163901.v2.0.B04.tif.part",
        "HLS.S30.T15SXR.2021250T163901.v2.0 (1).tif",
        "hls.s30.t15sxr.2021250t163901.v2.0",
        "HLS.M30.T15SXR.2021250T163901.v2.0",
        "HLS.S30.15SXR.2021250T163901.v2.0",
        "HLS.S30.T15SXR.2021250T163901.v1.5",
        "HLS.S30.T00SXR.2021250T163901.v2.0",
        "HLS.S30.T61SXR.2021250T163901.v2.0",
        "HLS.S30.T15SXR.\u0662\u0660\u0662\u0661250T163901.v2.0",  # 2021 in Arabic digits
        "HLS.S30.T15SIR.2021250T163901.v2.0",  # MGRS leaves out I and O
        "HLS.S30.T15SXR.2021250.v2.0",
        "HLS.S30.T15SXR.2021250T163901",
        "",
    ],
)
def test_names_that_are_nearly_right(name):
    with pytest.raises(GranuleNameError, match="wanted HLS"):
        parse(name)


@pytest.mark.parametrize("time", ["2021366T000000", "2021000T000000", "2021250T240000", "2021250T166000"])
def test_times_that_do_not_exist(time):
    with pytest.raises(GranuleNameError, match=time):
        parse(f"HLS.S30.T15SXR.{time}.v2.0")


def test_leap_days_and_seconds_of_a_real_name():
    assert parse("HLS.L30.T06WVS.2024120T211159.v2.0").acquired == datetime(2024, 4, 29, 21, 11, 59, tzinfo=UTC)
    assert parse("HLS.L30.T06WVS.2024366T000000.v2.0").acquired == datetime(2024, 12, 31, tzinfo=UTC)


def test_hrefs_are_not_part_of_the_identity():
    assert parse(f"/here/{S30}.B04.tif") == parse(f"s3://there/{S30}.B8A.tif") == parse(S30)


def test_signed_urls_are_granules_too():
    href = f"https://host/x/{S30}.B8A.tif?X-Amz-Signature=abc&file=/HLS.txt"
    assert parse(href).hrefs == {Band.NIR: href}


def test_thermal_bands_are_known_but_not_kept():
    assert dict(parse(f"{L30}.B10.tif").hrefs) == {}


def test_a_band_of_the_other_product_has_no_file():
    with pytest.raises(BandError, match="no band red_edge1"):
        parse(L30).file_name(Band.RED_EDGE1)


def test_a_missing_file_is_told_with_what_there_is():
    granule = parse(f"/data/{S30}.B04.tif")
    assert granule.href(Band.RED) == f"/data/{S30}.B04.tif"
    with pytest.raises(DataError, match=f"no Fmask in {S30}: found red, wanted {S30}.Fmask.tif"):
        granule.href(Layer.FMASK)


def test_files_are_gathered_by_granule_in_the_order_of_names():
    places = [f"/b/{S30}.B04.tif", f"/a/{L30}.B04.tif", "/a/notes.txt", f"/b/{S30}.Fmask.tif", f"/a/{L30}.jpg"]
    landsat, sentinel = gather(places)
    assert (landsat.name, sentinel.name) == (L30, S30)
    assert dict(sentinel.hrefs) == {Band.RED: places[0], Layer.FMASK: places[3]}


@pytest.mark.parametrize("base", ["https://host/HLSS30.020", "https://host/HLSS30.020/", "s3://bucket/HLSS30.020"])
def test_remote_files_of_a_granule(base):
    granule = locate(f"{base.rstrip('/')}/{S30}", parse(S30))
    assert set(granule.hrefs) == {*CODES[Product.S30], *Layer}
    assert granule.href(Band.SWIR2) == f"{base.rstrip('/')}/{S30}/{S30}.B12.tif"
    assert find(f"{base.rstrip('/')}/{S30}/")[0].hrefs == granule.hrefs


def test_find_looks_deep_and_groups(tmp_path):
    for place in (f"a/{S30}.B04.tif", f"a/deep/{S30}.Fmask.tif", f"b/{L30}.B05.tif", "b/HLS.tif", "HLS.S30.B04.tif"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    landsat, sentinel = find(tmp_path)
    assert set(landsat.hrefs) == {Band.NIR}
    assert set(sentinel.hrefs) == {Band.RED, Layer.FMASK}


def test_find_one_file_brings_its_neighbours_of_the_same_granule(tmp_path):
    for name in (f"{S30}.B04.tif", f"{S30}.Fmask.tif", f"{L30}.B04.tif"):
        (tmp_path / name).touch()
    (granule,) = find(tmp_path / f"{S30}.B04.tif")
    assert set(granule.hrefs) == {Band.RED, Layer.FMASK}


def test_nothing_to_find(tmp_path):
    with pytest.raises(InputError, match="no HLS granules in"):
        find(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find(tmp_path / "elsewhere")
    with pytest.raises(GranuleNameError):
        find("https://host/HLSS30.020/")


def test_real_crop_has_the_six_bands_and_fmask(shared):
    (granule,) = find(shared / "data/hls_s30_t15sxr/input")
    assert granule.name == S30
    assert set(granule.hrefs) == {*SIX, Layer.FMASK}
    assert all(Path(href).is_file() for href in granule.hrefs.values())
