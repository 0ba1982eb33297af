"""The shipped masker on the real Parana: what it takes turbid river for."""

from __future__ import annotations

from tasks.parana import parana_paired


def test_the_shipped_masker_takes_hardly_any_turbid_river_for_cloud_or_snow(shared):
    """Dark, clear water beside it is another matter: much of that goes to cloud shadow, and is counted too."""
    paired, lost = parana_paired(shared / "data" / "parana_sentinel2_tss", masker="default")
    red = lost[(lost["by"] == "red") & (lost["class"] == ">0.10")].set_index("date")
    turbid = red[red["water_px"] >= 100]
    assert len(turbid) == 5
    assert ((turbid["cloud"] + turbid["snow_ice"]) / turbid["water_px"]).max() < 0.05
    assert turbid["kept"].sum() / turbid["water_px"].sum() > 0.9
    assert len(paired.matchups) + len(paired.lost) == 63
    assert set(paired.lost["reason"]) <= {"cloud shadow", "cloud", "too few pixels"}
