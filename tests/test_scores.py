"""Scores from histograms against slow counting, brute force over thresholds and the reference's own evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from models.bootstrap import bootstrap, percentiles, resample
from models.packing import UNKNOWN
from models.published_scores import published_metrics, published_row, published_thresholds
from models.scores import BINS, METRICS, NAMES, Confusion, Tally, best_thresholds, count, count_clear_water, scores
from ssc.errors import InputError
from ssc.masks import Mask

TASKS = ("water_mask", "cloudshadow_mask", "cloud_mask", "snowice_mask", "sun_mask")
GRID = np.arange(1, BINS) / BINS

probabilities = st.one_of(
    st.floats(0, 1, width=32),
    st.integers(0, BINS).map(lambda k: float(np.float32(k / BINS))),  # exactly on a threshold
    st.just(float("nan")),
)
answers = npst.arrays(np.float32, (3, 7, 5), elements=probabilities)
labellings = npst.arrays(np.uint8, (3, 7, 5), elements=st.sampled_from([0, 1, UNKNOWN]))


def slowly(probability, labels, threshold) -> list[list[int]]:
    """TP, FP, FN, TN of each mask, a pixel at a time, compared in float32."""
    rows = []
    for answer, label in zip(probability, labels, strict=True):
        row = [0, 0, 0, 0]
        for p, y in zip(answer.ravel(), label.ravel(), strict=True):
            if y == UNKNOWN or np.isnan(p):
                continue
            found = bool(np.float32(p) > np.float32(threshold))
            row[(0 if found else 2) if y == 1 else (1 if found else 3)] += 1
        rows.append(row)
    return rows


def tallied(probability, labels) -> Tally:
    tally = Tally.empty(len(probability))
    tally.add(probability, labels)
    return tally


def noisy(seed=0, shape=(5, 60, 60), skill=1.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know something, and labels, some of them unknown."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(shape) < 0.3).astype(np.uint8)
    probability = 1 / (1 + np.exp(-(skill * (2.0 * labels - 1) + rng.normal(0, 1.5, shape))))
    labels[rng.random(shape) < 0.1] = UNKNOWN
    return probability.astype(np.float32), labels


# Counting


@given(answers, labellings, st.integers(0, BINS))
@settings(max_examples=60, deadline=None)
def test_any_threshold_asked_afterwards_equals_counting_pixels(probability, labels, k):
    threshold = k / BINS
    assert tallied(probability, labels).confusion(threshold).counts.tolist() == slowly(probability, labels, threshold)


@given(answers, labellings, answers, labellings)
@settings(max_examples=25, deadline=None)
def test_the_sum_of_tallies_is_the_tally_of_all_pixels(first, first_labels, second, second_labels):
    together = tallied(np.concatenate([first, second], axis=1), np.concatenate([first_labels, second_labels], axis=1))
    apart = tallied(first, first_labels) + tallied(second, second_labels)
    assert np.array_equal(apart.counts, together.counts)


def test_every_threshold_at_once_equals_one_at_a_time():
    tally = tallied(*noisy())
    every = tally.at_every_threshold()
    for k in (0, 1, 299, 300, 500, 999, 1000):
        assert np.array_equal(every.counts[:, k], tally.confusion(k / BINS).counts)


def test_each_mask_may_have_its_own_threshold():
    probability, labels = noisy(1)
    thresholds = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    expected = [slowly(probability[[i]], labels[[i]], t)[0] for i, t in enumerate(thresholds)]
    assert tallied(probability, labels).confusion(thresholds).counts.tolist() == expected


def test_unknown_labels_and_missing_answers_never_count():
    probability, labels = noisy(2)
    tally = tallied(probability, labels)
    probability[:, 10:20] = np.nan
    hidden = labels.copy()
    hidden[:, 10:20] = UNKNOWN
    assert np.array_equal(tallied(probability, labels).counts, tallied(noisy(2)[0], hidden).counts)
    assert tallied(probability, labels).counts.sum() < tally.counts.sum()
    nothing = tallied(np.full((5, 4, 4), np.nan, np.float32), np.ones((5, 4, 4), np.uint8))
    assert nothing.counts.sum() == 0
    assert scores(nothing, 0.5)[list(METRICS)].isna().all(axis=None)


@pytest.mark.parametrize(
    ("probability", "labels", "found"),
    [
        (np.full((5, 2, 2), 1.5, np.float32), np.zeros((5, 2, 2), np.uint8), "1.5"),
        (np.full((5, 2, 2), 0.5, np.float32), np.full((5, 2, 2), 2, np.uint8), "labels up to 2"),
        (np.full((5, 2, 2), 0.5, np.float32), np.zeros((5, 2, 3), np.uint8), r"\(5, 2, 3\)"),
        (np.full((4, 2, 2), 0.5, np.float32), np.zeros((4, 2, 2), np.uint8), "begins with 5"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(probability, labels, found):
    with pytest.raises(InputError, match=found):
        Tally().add(probability, labels)


# Scores


def test_scores_by_hand():
    table = Confusion(counts=np.array([[30, 10, 20, 40]])).table(["water"])
    water = table.loc["water"]
    assert water["precision"] == 30 / 40
    assert water["recall"] == 30 / 50
    assert water["f1"] == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert water["iou"] == 30 / 60
    assert water["accuracy"] == 70 / 100
    assert water["balanced_accuracy"] == pytest.approx((0.6 + 0.8) / 2)
    assert water["base_rate_f1"] == pytest.approx(2 * 0.5 / 1.5)
    assert (water["support"], water["pixels"]) == (50, 100)


def test_base_rate_is_the_score_of_saying_everywhere():
    probability, labels = noisy(3)
    everywhere = tallied(np.ones_like(probability), labels)
    table = scores(everywhere, 0.5)
    assert np.array_equal(table["f1"], table["base_rate_f1"])
    assert (table["balanced_accuracy"] == 0.5).all()


def test_what_is_neither_there_nor_found_has_no_score_but_false_alarms_score_zero():
    labels = np.zeros((5, 3, 3), np.uint8)
    assert scores(tallied(np.zeros((5, 3, 3), np.float32), labels), 0.5)["f1"].isna().all()
    assert (scores(tallied(np.ones((5, 3, 3), np.float32), labels), 0.5)["f1"] == 0).all()


# Thresholds


@given(answers, labellings)
@settings(max_examples=25, deadline=None)
def test_best_threshold_equals_brute_force_over_the_grid(probability, labels):
    tally = tallied(probability, labels)
    best = best_thresholds(tally)
    for mask, (answer, label) in enumerate(zip(probability, labels, strict=True)):
        known = (label != UNKNOWN) & ~np.isnan(answer)
        there = label[known] == 1
        if not there.any():
            assert best[mask] == 0.5
            continue
        found = answer[known][:, None] > GRID.astype(np.float32)
        tp = (found & there[:, None]).sum(axis=0)
        f1 = 2 * tp / (found.sum(axis=0) + there.sum())
        chosen = round(best[mask] * BINS) - 1
        assert f1[chosen] == f1.max()
        first = int(np.argmax(f1))
        run = first + np.argmin(np.append(f1[first:] == f1.max(), False)) - 1
        assert chosen == (first + run) // 2


def test_answers_of_zero_and_one_get_the_middle():
    probability = (np.random.default_rng(0).random((5, 20, 20)) < 0.5).astype(np.float32)
    assert (best_thresholds(tallied(probability, noisy(shape=(5, 20, 20))[1])) == 0.5).all()


# Clear water


@given(
    npst.arrays(np.bool_, (5, 6, 6)),
    npst.arrays(np.uint8, (5, 6, 6), elements=st.sampled_from([0, 0, 1, UNKNOWN])),
    st.sampled_from([tuple(Mask), (Mask.WATER, Mask.CLOUD, Mask.CLOUD_SHADOW), (Mask.WATER,)]),
)
@settings(max_examples=40, deadline=None)
def test_clear_water_equals_counting_pixels(found, labels, needed):
    expected = [0, 0, 0, 0]
    for y in range(6):
        for x in range(6):
            label = {mask: labels[mask, y, x] for mask in needed}
            if UNKNOWN in label.values():
                continue
            truth = label[Mask.WATER] == 1 and not any(label[mask] == 1 for mask in needed if mask)
            answer = found[Mask.WATER, y, x] and not any(found[mask, y, x] for mask in needed if mask)
            expected[{(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[int(truth), int(answer)]] += 1
    assert count_clear_water(found, labels, needed).counts.tolist() == expected


def test_clear_water_needs_water():
    with pytest.raises(InputError, match="wanted WATER"):
        count_clear_water(np.zeros((5, 2, 2), bool), np.zeros((5, 2, 2), np.uint8), (Mask.CLOUD,))


def test_counting_answers_equals_counting_probabilities():
    probability, labels = noisy(4)
    assert np.array_equal(count(probability > 0.4, labels).counts, tallied(probability, labels).confusion(0.4).counts)


# Intervals


def test_intervals_cover_what_is_true_about_as_often_as_they_say():
    rng = np.random.default_rng(8)
    covered, runs, scenes = 0, 150, 40
    share = np.array([0.25, 0.05, 0.10, 0.60])
    for run in range(runs):
        concentrated = rng.dirichlet(share * 12, size=scenes)  # scenes differ, as images do
        counts = np.stack([rng.multinomial(5000, p) for p in concentrated])[:, None]
        low, high = percentiles(Confusion(counts=resample(counts, n=300, seed=run)).f1, np.array([scenes]))
        covered += int(low[0] <= 2 * 0.25 / (2 * 0.25 + 0.15) <= high[0])
    assert 0.82 <= covered / runs <= 0.96


def test_intervals_are_the_same_for_the_same_seed_and_hold_the_score():
    tallies = {f"scene{i}": tallied(*noisy(i, (5, 20, 20))) for i in range(12)}
    first, again, other = (bootstrap(tallies, 0.5, n=200, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    pooled = scores(sum(tallies.values(), Tally()), 0.5)
    for metric in METRICS:
        assert ((first[f"{metric}_lo"] <= pooled[metric]) & (pooled[metric] <= first[f"{metric}_hi"])).all()
    assert list(first.index) == list(NAMES)


@pytest.mark.parametrize("scenes", [1, 2])
def test_one_or_two_scenes_have_no_interval(scenes):
    table = bootstrap([tallied(*noisy(seed)) for seed in range(scenes)], 0.5, n=50)
    assert table.isna().all(axis=None)


def test_scenes_that_tell_nothing_of_a_mask_make_no_interval_of_it():
    tallies = []
    for seed in range(6):
        probability, labels = noisy(seed, (5, 20, 20))
        labels[Mask.SNOW_ICE] = 0 if seed > 1 else labels[Mask.SNOW_ICE]
        tallies.append(tallied(probability, labels))
    table = bootstrap(tallies, 0.5, n=50)
    assert np.isnan(table.loc["snow_ice", "f1_lo"])
    assert table.loc["snow_ice", "accuracy_lo"] < table.loc["snow_ice", "accuracy_hi"]  # all six tell of that
    assert np.isfinite(table.loc["water", "f1_lo"])


# The published evaluation


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "reference" / "golden"
    return json.loads((folder / "loss_metrics.json").read_text()), folder


def stacked(arrays, prefix, kind) -> np.ndarray:
    return np.stack([arrays[f"{prefix}{kind}__{task}"].reshape(-1) for task in TASKS])


def test_published_evaluation_is_reproduced(golden):
    facts, folder = golden
    with np.load(folder / "evaluation.npz") as arrays:
        val, test = (
            tallied(stacked(arrays, split, "pred"), stacked(arrays, split, "label")) for split in ("val_", "test_")
        )
    run = facts["evaluation_run"]
    row = published_row(val, test, TASKS, facts={"backbone": "stub", "pretrained": False})
    assert list(row) == run["csv_columns"]
    assert (row["backbone"], row["head"], row["pretrained"]) == ("stub", "", False)
    for task in TASKS:
        assert row[f"{task}_thresh"] == run["thresholds"][task]
        assert str(row[f"{task}_thresh"]) == run["threshold_text_in_csv"][task]
        for name, value in run["metrics"][task].items():
            assert row[f"{task}_{name}"] == pytest.approx(value, abs=1e-9)


def test_published_metrics_at_one_half(golden):
    facts, folder = golden
    with np.load(folder / "loss_metrics.npz") as arrays:
        confusion = tallied(stacked(arrays, "", "pred"), stacked(arrays, "", "label")).confusion(0.5)
    metrics = published_metrics(confusion)
    for place, task in enumerate(TASKS):
        case = facts["metrics"][task]
        counts = case["counts_threshold_0p5"]
        assert confusion.counts[place].tolist() == [counts[name] for name in ("TP", "FP", "FN", "TN")]
        for name, value in case["threshold_0p5_strict"].items():
            assert metrics[name][place] == pytest.approx(value, rel=1e-6)


def test_published_grid_may_say_everywhere_where_ours_may_not():
    labels = (np.random.default_rng(0).random((1, 900)) < 0.93).astype(np.uint8)
    uninformative = np.random.default_rng(1).uniform(0.05, 0.95, (1, 900)).astype(np.float32)
    tally = tallied(uninformative, labels)
    assert published_thresholds(tally).tolist() == [0.0]
    assert best_thresholds(tally)[0] > 0
