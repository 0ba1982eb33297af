"""Broken granules: each damage is told apart, names its granule, and raises nothing but an error of ours."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malformed import MALFORMED, file
from ssc.bands import SIX, Band, Layer
from ssc.errors import DataError, GridError, SscError
from ssc.granules import find
from ssc.rasters import open_granule
from tiny import L30, S30, write_granule

SAYS = {
    "band_missing": (DataError, "no red in"),
    "fmask_missing": (DataError, "no Fmask in"),
    "dangling_link": (DataError, "missing file"),
    "folder_for_a_file": (DataError, "found Is a directory"),
    "empty_file": (DataError, "found 0 bytes"),
    "empty_fmask": (DataError, "found 0 bytes"),
    "login_page": (DataError, "found a web page"),
    "xml_refusal": (DataError, "found a web page"),
    "json_refusal": (DataError, "not a TIFF"),
    "plain_text": (DataError, "not a TIFF"),
    "zeros_only": (DataError, "not a TIFF"),
    "gzipped": (DataError, "not a TIFF"),
    "another_format": (DataError, "not a TIFF"),
    "pointer_to_another_file": (DataError, "not a TIFF"),
    "storage_pointer": (DataError, "not a TIFF"),
    "half_downloaded": (DataError, "truncated or damaged"),
    "header_alone": (DataError, "truncated or damaged"),
    "half_a_header": (DataError, "truncated or damaged"),
    "magic_number_alone": (DataError, "truncated or damaged"),
    "fmask_half_downloaded": (DataError, "truncated or damaged"),
    "pixels_zeroed": (DataError, "truncated or damaged"),
    "pixels_scrambled": (DataError, "truncated or damaged"),
    "directory_beyond_the_end": (DataError, "truncated or damaged"),
    "size_of_a_planet": (GridError, "2000000 px"),
    "band_of_another_size": (GridError, "found 32 x 32 px"),
    "fmask_of_another_size": (GridError, "found 63 x 64 px"),
    "band_one_pixel_off": (GridError, "from (600030, 3600000)"),
    "band_in_the_next_zone": (GridError, "found UTM zone 16"),
    "all_in_the_next_zone": (GridError, "found UTM zone 16"),
    "longitude_and_latitude": (GridError, "found EPSG:4326"),
    "web_mercator": (GridError, "found EPSG:3857"),
    "another_datum": (GridError, "found EPSG:26915"),
    "no_crs": (GridError, "wrong CRS"),
    "no_georeference": (GridError, "wrong CRS"),
    "pixels_of_10_m": (GridError, "wanted 30 m, north up"),
    "south_up": (GridError, "wanted 30 m, north up"),
    "turned_grid": (GridError, "wanted 30 m, north up"),
    "angles_of_another_size": (GridError, "angle layer of another shape"),
    "reflectance_as_float": (DataError, "found float32, wanted int16"),
    "reflectance_unsigned": (DataError, "found uint16, wanted int16"),
    "fmask_in_place_of_a_band": (DataError, "found uint8, wanted int16"),
    "fmask_as_int16": (DataError, "found int16, wanted uint8"),
    "two_bands_in_a_file": (DataError, "found 2, wanted 1"),
    "scale_of_landsat": (DataError, "found 2.75e-05, wanted 0.0001"),
    "offset_of_landsat": (DataError, "found -0.2, wanted 0"),
    "angles_as_float": (DataError, "found float32, wanted uint16"),
    "angles_half_downloaded": (DataError, "truncated or damaged"),
    "no_sun_anywhere": (DataError, "no sun direction"),
    "sun_layers_all_fill": (DataError, "no sun direction"),
    "sun_below_the_horizon": (DataError, "found zenith 97.5"),
    "files_of_another_day": (DataError, "files of another granule"),
}
"""The kind of error and the words that tell each damage apart."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Folder of a granule that reads."""
    folder = tmp_path_factory.mktemp("sound")
    write_granule(folder, S30)
    use(folder)
    return folder


@pytest.fixture
def granule(sound, tmp_path):
    """A copy of it to damage."""
    shutil.copytree(sound, tmp_path / "granule")
    (found,) = find(tmp_path / "granule")
    return found


def use(folder, name=S30):
    """Everything the pipeline asks of a granule."""
    (granule,) = (granule for granule in find(folder) if granule.name == name)
    with open_granule(granule) as reader:
        return reader.read(), reader.angles()


@pytest.mark.parametrize("name", MALFORMED)
def test_damage_is_told(name, granule, tmp_path):
    MALFORMED[name](tmp_path, granule)
    kind, words = SAYS[name]
    with pytest.raises(SscError) as told:
        use(tmp_path)
    message = str(told.value)
    assert isinstance(told.value, kind)
    assert words in message
    assert S30 in message
    assert "found" in message
    assert "wanted" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["band_missing", "files_of_another_day", "all_in_the_next_zone"])
def test_damage_leaves_other_granules_alone(name, granule, tmp_path):
    write_granule(tmp_path / "other", L30)
    MALFORMED[name](tmp_path, granule)
    observation, _ = use(tmp_path, L30)
    assert observation.valid.all()


def test_damage_below_the_folder_is_found_without_hrefs(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "deep" / "down")
    (granule,) = find(tmp_path)
    MALFORMED["empty_file"](tmp_path, replace(granule, hrefs={}))
    with pytest.raises(DataError, match="found 0 bytes"):
        use(tmp_path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # rasterio logging what is no UTF-8
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1999), values=st.binary(min_size=1, max_size=8))
def test_any_bytes_in_a_header_give_data_or_an_error_of_ours(place, values, sound, tmp_path):
    (granule,) = find(sound)
    path = file(sound, granule)
    damaged = bytearray(path.read_bytes())
    damaged[place : place + len(values)] = values
    broken = tmp_path / path.name
    broken.write_bytes(damaged)
    with suppress(SscError), open_granule(replace(granule, hrefs={**granule.hrefs, Band.RED: str(broken)})) as reader:
        assert reader.read().reflectance.shape == (6, 64, 64)


def test_a_granule_without_data_is_no_error(tmp_path):
    fill = dict.fromkeys(SIX, np.full((64, 64), -9999, np.int16)) | {Layer.FMASK: np.full((64, 64), 255, np.uint8)}
    write_granule(tmp_path, S30, numbers=fill)
    observation, _ = use(tmp_path)
    assert not observation.valid.any()
    assert np.isnan(observation.reflectance).all()
