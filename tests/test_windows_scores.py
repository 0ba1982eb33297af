"""Scores per window: against a slow double loop, by hand at the edges, and the bootstrap where its answer is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from models.packing import UNKNOWN
from models.windows_scores import EDGES, METRICS, by_cover, paired_differences, window_scores
from ssc.errors import InputError
from ssc.masks import Mask


def scene(rows=100, cols=70, seed=0, unknown=0.3):
    draw = np.random.default_rng(seed)
    labels = (draw.random((5, rows, cols)) < 0.4).astype(np.uint8)
    labels[draw.random((5, rows, cols)) < unknown] = UNKNOWN
    labels[:, :20, :20] = UNKNOWN
    labels[Mask.CLOUD, 32:64, 32:64] = 1
    labels[Mask.WATER, 64:96, :32] = 0
    probability = draw.random((5, rows, cols)).astype(np.float32)
    probability[Mask.SNOW_ICE, 64:, :32] = np.nan
    return probability, labels


def ratio(part, whole):
    return part / whole if whole else math.nan


def slowly(probability, labels, thresholds, size):
    """Window by window, pixel by pixel."""
    rows = []
    _, height, width = labels.shape
    for mask in Mask:
        for top in range(0, height, size):
            for left in range(0, width, size):
                tp = fp = fn = tn = cloud = cloud_known = 0
                for row in range(top, min(top + size, height)):
                    for col in range(left, min(left + size, width)):
                        cloud_known += labels[Mask.CLOUD, row, col] != UNKNOWN
                        cloud += labels[Mask.CLOUD, row, col] == 1
                        truth, said = labels[mask, row, col], probability[mask, row, col]
                        if truth == UNKNOWN or math.isnan(said):
                            continue
                        called = said > thresholds[mask]
                        tp, fp = tp + (called and truth == 1), fp + (called and truth == 0)
                        fn, tn = fn + (not called and truth == 1), tn + (not called and truth == 0)
                known = tp + fp + fn + tn
                if known < size**2 / 2 or cloud_known < size**2 / 2:
                    continue
                scores = (
                    ratio(tp + tn, known),
                    ratio(2 * tp, 2 * tp + fp + fn),
                    ratio(tp, tp + fp),
                    ratio(tp, tp + fn),
                )
                rows.append(("a", top // size, left // size, mask.name, cloud / cloud_known, known, *scores))
    return pd.DataFrame(rows, columns=["scene", "row", "col", "mask", "cloud", "known", *METRICS])


def test_windows_are_those_of_the_slow_loop():
    probability, labels = scene()
    thresholds = [0.2, 0.5, 0.7, 0.4, 0.9]
    found = window_scores(probability, labels, thresholds, scene="a", size=32)
    wanted = slowly(probability, labels, thresholds, 32)
    assert 20 < len(wanted) < 5 * 4 * 3  # some dropped, most not
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_under_half_known_is_dropped_and_half_is_kept():
    labels = np.zeros((5, 8, 8), np.uint8)
    labels[:, :4] = UNKNOWN
    assert len(window_scores(np.zeros((5, 8, 8)), labels, size=8)) == 5
    labels[Mask.WATER, 4, 0] = UNKNOWN
    assert set(window_scores(np.zeros((5, 8, 8)), labels, size=8)["mask"]) == {m.name for m in Mask} - {"WATER"}
    labels[Mask.CLOUD, 4, 0] = UNKNOWN  # no cover, no window
    assert window_scores(np.zeros((5, 8, 8)), labels, size=8).empty


@pytest.mark.parametrize(
    ("there", "called", "wanted"),
    [
        (0, 0, {"accuracy": 1.0, "f1": math.nan, "precision": math.nan, "recall": math.nan}),
        (0, 1, {"accuracy": 0.0, "f1": 0.0, "precision": 0.0, "recall": math.nan}),
        (1, 0, {"accuracy": 0.0, "f1": 0.0, "precision": math.nan, "recall": 0.0}),
        (1, 1, {"accuracy": 1.0, "f1": 1.0, "precision": 1.0, "recall": 1.0}),
    ],
)
def test_what_is_undefined_is_nan_and_never_one(there, called, wanted):
    table = window_scores(np.full((5, 4, 4), called, float), np.full((5, 4, 4), there, np.uint8), size=4)
    for metric, value in wanted.items():
        assert table[metric].tolist() == pytest.approx([value] * 5, nan_ok=True), metric
    assert table["cloud"].tolist() == [there] * 5


def test_the_threshold_itself_is_not_above_the_threshold():
    table = window_scores(np.full((5, 4, 4), 0.5), np.ones((5, 4, 4), np.uint8), 0.5, size=4)
    assert (table["recall"] == 0).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="wanted both"):
        window_scores(np.zeros((5, 8, 8)), np.zeros((5, 8, 9), np.uint8))
    with pytest.raises(InputError, match="wanted both"):
        window_scores(np.zeros((3, 8, 8)), np.zeros((3, 8, 8), np.uint8))


def windows(*lines):
    """(scene, col, cloud, score): one mask, all metrics alike."""
    table = pd.DataFrame(lines, columns=["scene", "col", "cloud", "f1"]).assign(row=0, mask="CLOUD", known=16384)
    return table.assign(**dict.fromkeys(METRICS, table["f1"]))


def test_bins_close_at_the_right_end():
    table = windows(
        ("a", 0, 0.0, 1.0), ("a", 1, 0.01, 0.5), ("a", 2, 0.1, math.nan), ("a", 3, 0.99, 0.2), ("a", 4, 1.0, 0.4)
    )
    found = by_cover(table).query("metric == 'f1'")
    bins = {(row.cover_from, row.cover_to): (row.mean_, row.defined, row.windows) for row in renamed(found)}
    assert bins == {
        (0.0, 0.01): (1.0, 1, 1),
        (0.01, 0.2): (0.5, 1, 2),  # the undefined one is counted, not averaged
        (0.99, 1.0): (pytest.approx(0.3), 2, 2),
    }


def renamed(table):
    return table.rename(columns={"mean": "mean_"}).itertuples()


def test_bins_come_in_order_of_mask_and_cover():
    probability, labels = scene(128, 128, seed=5, unknown=0.1)
    found = by_cover(window_scores(probability, labels, size=16))
    keys = list(zip([Mask[name] for name in found["mask"]], found["cover_from"], strict=True))
    assert keys == sorted(keys)
    assert found.groupby(["mask", "metric"])["windows"].sum().max() <= 64


@pytest.mark.parametrize("edges", [(0, 0.5), (0.1, 1), (0, 0.5, 0.5, 1), (1,)])
def test_edges_that_leave_windows_out_are_refused(edges):
    with pytest.raises(InputError, match="rising ones from 0 to 1"):
        by_cover(windows(("a", 0, 0.5, 1.0)), edges)


def test_a_constant_gain_has_an_interval_of_no_width():
    first = windows(*((name, col, 0.3, 0.5) for name in "abc" for col in range(4)))
    second = first.assign(**{metric: first[metric] + 0.125 for metric in METRICS})
    found = paired_differences(first, second, draws=50)
    assert found[["difference", "low", "high"]].to_numpy() == pytest.approx(0.125)
    whole = found.iloc[0]
    assert (whole["cover_from"], whole["cover_to"], whole["pairs"], whole["scenes"]) == (0, 1, 12, 3)
    assert found["cover_from"].unique().tolist() == [0.0, 0.2]  # over all, and the one bin that has windows


def test_the_difference_is_of_windows_where_both_are_defined():
    first = windows(("a", 0, 0.5, 0.2), ("a", 1, 0.5, math.nan), ("b", 0, 0.5, 0.6))
    second = windows(("b", 0, 0.5, 0.5), ("a", 1, 0.5, 1.0), ("a", 0, 0.5, 0.6))  # in another order
    line = paired_differences(first, second, draws=20).query("metric == 'f1'").iloc[0]
    assert line["difference"] == pytest.approx((0.4 - 0.1) / 2)
    assert (line["pairs"], line["scenes"]) == (2, 2)


def test_the_interval_is_that_of_drawing_scenes_by_hand():
    draw = np.random.default_rng(3)
    lines = [(f"s{number}", col, 0.3, 0.0) for number in range(6) for col in range(number + 1)]
    first = windows(*lines)
    gains = draw.normal(0.1, 0.2, len(lines))
    second = first.assign(**{metric: first[metric] + gains for metric in METRICS})
    found = paired_differences(first, second, draws=4000, seed=1, level=0.8).query("metric == 'recall'").iloc[0]
    groups = [gains[(first["scene"] == f"s{number}").to_numpy()] for number in range(6)]
    means = [np.concatenate([groups[place] for place in draw.integers(0, 6, 6)]).mean() for _ in range(4000)]
    assert found["difference"] == pytest.approx(gains.mean())
    assert found["low"] == pytest.approx(np.quantile(means, 0.1), abs=0.01)
    assert found["high"] == pytest.approx(np.quantile(means, 0.9), abs=0.01)
    assert found["low"] < found["difference"] < found["high"]


def test_one_scene_has_a_difference_but_no_interval():
    first = windows(("a", 0, 0.5, 0.25), ("a", 1, 0.5, 0.25))
    found = paired_differences(first, first.assign(f1=0.5)).query("metric == 'f1'").iloc[0]
    assert found["difference"] == pytest.approx(0.25)
    assert math.isnan(found["low"])
    assert math.isnan(found["high"])


def test_windows_that_do_not_pair_off_are_refused():
    first = windows(("a", 0, 0.5, 0.25), ("a", 1, 0.5, 0.25))
    with pytest.raises(InputError, match="do not pair off"):
        paired_differences(first, first.iloc[:1])
    with pytest.raises(InputError, match="do not pair off"):
        paired_differences(first, first.assign(scene="b"))


def test_two_maskers_on_one_scene_end_to_end():
    probability, labels = scene(256, 256, seed=9, unknown=0.2)
    truth = np.where(labels == UNKNOWN, 0.5, labels).astype(float)
    tables = [
        pd.concat([window_scores(given, labels, scene=name, size=64) for name in ("a", "b")], ignore_index=True)
        for given in (np.nan_to_num(probability, nan=0.0), truth)
    ]
    found = paired_differences(*tables, edges=EDGES, draws=100)
    gains = found.query("metric == 'accuracy'")["difference"]
    assert (gains > 0.3).all()  # the truth beats dice
    assert gains.max() < 0.7
