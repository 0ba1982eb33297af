"""Sun position against HLS tags and a second formula; grid north against the projection library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Proj

from ssc.errors import InputError
from ssc.legacy.sun import convergence, grid_azimuth, sun_position


def sensing_time(row: pd.Series) -> datetime:
    return datetime(int(row["sy"]), 1, 1, int(row["sh"]), int(row["sm"]), tzinfo=UTC) + timedelta(
        days=int(row["sd"]) - 1, seconds=float(row["ss"])
    )


@pytest.fixture(scope="module")
def granules(shared) -> pd.DataFrame:
    return pd.read_csv(shared / "reference/legacy/legacy_solpos_vs_hls_tags.csv")


def test_positions_agree_with_the_predecessors_formula_at_sensing_time(granules):
    for _, row in granules.iterrows():
        zenith, azimuth = sun_position(sensing_time(row), row["lat_c"], row["lon_c"])
        assert 90 - zenith == pytest.approx(row["sens_elev"], abs=0.005)
        assert azimuth == pytest.approx(row["sens_az"], abs=0.01)


def test_whole_tiles_agree_with_their_own_tags_and_partial_ones_nearly(granules):
    """Tags are means over the valid pixels: where a tile is 3 or 7 % full, that is far from its centre."""
    for _, row in granules.iterrows():
        zenith, azimuth = sun_position(sensing_time(row), row["lat_c"], row["lon_c"])
        slack = 0.06 if row["spatial_cov"] == 100 else 1.3
        assert zenith == pytest.approx(row["tag_sza"], abs=slack)
        assert azimuth == pytest.approx(row["tag_saa"], abs=slack)


def test_the_time_in_an_s30_name_would_be_seven_degrees_off(granules):
    row = granules.iloc[1]
    named = sensing_time(row).replace(hour=17, minute=39, second=9, microsecond=0)
    zenith, azimuth = sun_position(named, row["lat_c"], row["lon_c"])
    assert azimuth - row["tag_saa"] == pytest.approx(-7.0, abs=0.1)
    assert zenith - row["tag_sza"] == pytest.approx(3.1, abs=0.1)


def test_the_reference_position():
    zenith, azimuth = sun_position(datetime(2024, 4, 29, 21, 12, 11, tzinfo=UTC), 64.42852, -147.93729)
    assert (90 - zenith, azimuth) == (pytest.approx(39.991, abs=5e-3), pytest.approx(168.359, abs=5e-3))


def test_solstice_noon_stands_over_the_tropic():
    """June solstice 2024, 20:51 UTC: declination 23.436 degrees, the sun over longitude -132.3 at that time."""
    zenith, _ = sun_position(datetime(2024, 6, 20, 20, 51, tzinfo=UTC), 23.436, -132.26)
    assert zenith < 0.3


@settings(deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # zone beside
    st.floats(-85, 85),
    st.floats(-180, 180),
)
def test_angles_stay_in_range_and_a_turn_of_the_globe_changes_nothing(when, lat, lon):
    zenith, azimuth = sun_position(when, lat, lon)
    assert 0 <= zenith <= 180
    assert 0 <= azimuth < 360
    assert sun_position(when, lat, lon + 360)[0] == pytest.approx(zenith, abs=1e-6)


def test_the_same_moment_in_another_zone_is_the_same_sun():
    when = datetime(2024, 5, 7, 17, 55, 57, tzinfo=UTC)
    assert sun_position(when.astimezone(timezone(timedelta(hours=-7))), 29, -106) == sun_position(when, 29, -106)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(InputError, match="wanted an aware time"):
        sun_position(datetime(2024, 5, 7, 17, 55, 57), 29, -106)  # noqa: DTZ001  # that is the mistake


@pytest.mark.parametrize(
    ("lat", "offset", "degrees"), [(64.43, -0.94, -0.848), (60, 3, 2.599), (45, 3, 2.122), (30, 3, 1.501)]
)
def test_reference_convergences(lat, offset, degrees):
    assert convergence(lat, 9 + offset, 9) == pytest.approx(degrees, abs=5e-4)


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-3.4, 3.4))
def test_convergence_is_that_of_the_projection(lat, offset):
    exact = Proj("EPSG:32632").get_factors(9 + offset, lat).meridian_convergence
    assert convergence(lat, 9 + offset, 9) == pytest.approx(exact, abs=0.01)


def test_grid_azimuth_turns_the_right_way():
    """East of the central meridian in the north, grid north lies east of true north: azimuths from it are smaller."""
    assert grid_azimuth(168.4, 60, 12, 9) == pytest.approx(168.4 - 2.599, abs=1e-3)
    assert grid_azimuth(1, 60, 12, 9) == pytest.approx(358.401, abs=1e-3)
    assert grid_azimuth(200, -60, 12, 9) == pytest.approx(202.599, abs=1e-3)
