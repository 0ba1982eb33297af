"""The netCDF export before the IOOS compliance checker: CF 1.8 and ACDD 1.3."""

from __future__ import annotations

import warnings

import netCDF4
import numpy as np
import pandas as pd
import pytest

from ssc.exports import export
from ssc.flux import flux, write_flux
from ssc.netcdf import write_netcdf
from ssc.regression import load
from ssc.results import open_store
from ssc.schema import REFLECTANCE, arrow_schema
from tables import make_reaches, make_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own libraries' deprecations, at import
    from compliance_checker.runner import CheckSuite

INT64 = "The variable reach_id failed because the datatype is int64"
"""CF allows int64 from 1.9 on (2.2); SWOT products declare CF 1.7 and write it, since an int32 is too small."""
PUBLISHER = {
    *("creator_name", "creator_url", "creator_email", "creator_type", "creator_institution"),
    *("publisher_name", "publisher_url", "publisher_email", "publisher_type", "publisher_institution"),
    *("institution", "license", "naming_authority", "contributor_name", "contributor_role", "metadata_link", "program"),
}
"""What only whoever publishes the file knows."""
NO_SUCH_THING = {
    *("geospatial_vertical_min", "geospatial_vertical_max", "geospatial_vertical_positive"),
    *("geospatial_vertical_units", "geospatial_vertical_resolution", "geospatial_bounds_vertical_crs"),
    *("time_coverage_resolution", "geospatial_lat_resolution", "geospatial_lon_resolution"),
    *("platform_vocabulary", "keywords_vocabulary", "instrument_vocabulary"),
}
"""Reaches have no height and no grid, clear skies no calendar, and our words are from no vocabulary."""

ALIKE = {column.name for column in REFLECTANCE if not column.name.startswith("red_")}
"""Left out: they differ from those of the red band in name alone, and the checker's time grows with their square."""


@pytest.fixture(scope="module")
def suite():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg entry points of the checker
        suite = CheckSuite()
        suite.load_all_available_checkers()
    return suite


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Rows with estimates of the shipped regressor, through a store."""
    folder = tmp_path_factory.mktemp("compliance")
    rows = make_rows(days=6)
    rows = rows.assign(
        **load("physical").predict(rows.assign(red_med=rows["red_med"] / 20, nir_med=rows["nir_med"] / 20))
    )
    store = open_store(folder / "store", create=True)
    store.write(rows)
    store.write_reaches(make_reaches())
    rows = store.query(columns=[name for name in arrow_schema().names if name not in ALIKE])
    return export(store, folder / "out.nc", "netcdf", rows=rows)


def complaints(suite, path, checker):
    """(weight, what, words) of everything that is not in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checker's own, not ours
        dataset = suite.load_dataset(str(path))
        results, errors = suite.run_all(dataset, [checker])[checker]
        dataset.close()
    assert errors == {}
    for result in results:
        score = result.value if isinstance(result.value, tuple) else (int(result.value), 1)
        if score[0] < score[1]:
            yield from ((result.weight, result.name, words) for words in result.msgs)


def test_cf_finds_fault_with_the_int64_of_the_ids_alone(suite, path):
    assert [words for *_, words in complaints(suite, path, "cf:1.8")] == [INT64]


def test_cf_finds_no_other_fault_with_fluxes(suite, tmp_path):
    rows = make_rows(days=2)
    known = {"reach_id": rows["reach_id"], "time": rows["time"], "q_m3_s": 1000.0, "ln_q_sd": 0.2, "day_only": False}
    table = flux(rows, pd.DataFrame(known).assign(source="gauge").iloc[1:])
    path = write_flux(table, make_reaches(), tmp_path / "flux.nc")
    assert [words for *_, words in complaints(suite, path, "cf:1.8")] == [INT64]


def test_acdd_misses_only_what_cannot_be_known(suite, path):
    found = list(complaints(suite, path, "acdd:1.3"))
    attributes = {words.removesuffix(" not present") for _, name, words in found if name == "Global Attributes"}
    assert attributes == PUBLISHER | NO_SUCH_THING
    # Variables: nothing but standard names, where CF has none
    others = [(name, words) for _, name, words in found if name != "Global Attributes"]
    assert {words for _, words in others} == {"standard_name"}
    named = ("time", "lat", "lon", "sun_zenith", "view_zenith", "ssc_qual", "ssc_quality", "n_px_used")
    assert not [name for name, _ in others if name.split('"')[1] in named]


def test_the_checker_notices_what_is_wrong(suite, tmp_path):
    """A file with a wrong unit and a made-up name fails, so passing means something."""
    broken = tmp_path / "broken.nc"
    write_netcdf(make_rows(days=1)[["reach_id", "time", "ssc"]], make_reaches(), broken)
    with netCDF4.Dataset(broken, "a") as file:
        file["ssc"].units = "furlong of mud"
        file["ssc"].standard_name = "river_sediment"
    words = " ".join(words for *_, words in complaints(suite, broken, "cf:1.8"))
    assert "furlong of mud" in words
    assert "river_sediment" in words


def test_the_identifier_follows_from_the_rows_alone(tmp_path):
    rows, ids = make_rows(), []
    for index, table in enumerate((rows, rows.sample(frac=1, random_state=1), rows.assign(ssc=np.float32(1)))):
        write_netcdf(table, make_reaches(), tmp_path / f"{index}.nc")
        with netCDF4.Dataset(tmp_path / f"{index}.nc") as file:
            ids.append(file.id)
            assert file.time_coverage_duration == pd.Timedelta(days=3).isoformat()
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("urn:uuid:")
