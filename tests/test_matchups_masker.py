"""The shipped masker on the real Parana: what it takes turbid river for."""

from __future__ import annotations

from tasks.parana import parana_paired


def test_the_shipped_masker_takes_hardly_any_turbid_river_for_cloud_or_snow(shared):
    """But for the day in sun glint, when a quarter of it passes for cloud; all that is lost is counted."""
    _, lost = parana_paired(shared / "data" / "parana_sentinel2_tss", masker="default")
    red = lost[(lost["by"] == "red") & (lost["class"] == ">0.10")].set_index("date")
    turbid = red[red["water_px"] >= 100]
    assert len(turbid) == 5
    taken = (turbid["cloud"] + turbid["snow_ice"]) / turbid["water_px"]
    assert taken.drop("2023-12-12").max() < 0.05
    assert taken["2023-12-12"] < 0.4
    assert turbid["kept"].sum() / turbid["water_px"].sum() > 0.85


def test_a_mirrored_edge_keeps_dark_water_from_passing_for_cloud_shadow(shared):
    """Crops of 72 px: without surroundings the network takes up to 0.74 of the water of a day for cloud shadow."""
    _, lost = parana_paired(shared / "data" / "parana_sentinel2_tss", masker="default", correction="sen2cor")
    every = lost[lost["by"] == "all"]
    assert (every["cloud_shadow"] / every["water_px"]).max() < 0.05
    assert every["kept"].sum() / every["water_px"].sum() > 0.9


def test_the_points_of_the_parana(shared):
    """Each of the 63 samples is paired or has a reason."""
    paired, _ = parana_paired(shared / "data" / "parana_sentinel2_tss", masker="default")
    assert len(paired.matchups) + len(paired.lost) == 63
    assert set(paired.lost["reason"]) <= {"cloud shadow", "cloud", "too few pixels"}
