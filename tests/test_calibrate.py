"""Calibration against miscalibration of known size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from models.calibrate import (
    Calibration,
    calibrated,
    calibration_curve,
    expected_calibration_error,
    fit_temperature,
    move_threshold,
    negative_log_likelihood,
)
from models.scores import BINS, Tally, best_thresholds


def drawn(temperature, bias, n=200_000, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """(1, n) probabilities whose truth is sigmoid(logit / temperature + bias), and labels drawn from it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (1, n))
    labels = rng.random((1, n)) < expit(z / temperature + bias)
    return expit(z).astype(np.float32), labels.astype(np.uint8)


def tallied(probability, labels) -> Tally:
    tally = Tally.empty(len(probability))
    tally.add(probability.astype(np.float32), labels)
    return tally


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, 0.0), (0.5, 0.0), (1.7, -1.2), (0.8, 0.9)])
def test_a_known_miscalibration_is_found(temperature, bias):
    fitted = fit_temperature(tallied(*drawn(temperature, bias)))
    assert fitted.temperature[0] == pytest.approx(temperature, rel=0.03)
    assert fitted.bias[0] == pytest.approx(bias, abs=0.03)


def test_calibrated_probabilities_are_what_they_say():
    probability, labels = drawn(2.5, -0.8)
    before = tallied(probability, labels)
    after = tallied(calibrated(probability, fit_temperature(before)), labels)
    assert expected_calibration_error(before)[0] > 0.05
    assert expected_calibration_error(after)[0] < 0.005


def test_the_fit_is_no_worse_than_any_neighbour():
    tally = tallied(*drawn(1.7, -1.2))
    fitted = fit_temperature(tally)
    temperature, bias = fitted.temperature[0], fitted.bias[0]
    best = negative_log_likelihood(tally.counts[0], temperature, bias)
    for factor, shift in [(1.02, 0), (0.98, 0), (1, 0.02), (1, -0.02), (1.02, 0.02), (0.98, -0.02)]:
        assert negative_log_likelihood(tally.counts[0], temperature * factor, bias + shift) > best
    assert best < negative_log_likelihood(tally.counts[0], 1.0, 0.0)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_changes_nothing(label):
    probability, labels = drawn(2.0, 0.5, n=500)
    fitted = fit_temperature(tallied(probability, np.full_like(labels, label)))
    assert (fitted.temperature[0], fitted.bias[0]) == (1.0, 0.0)
    empty = fit_temperature(Tally())
    assert (empty.temperature == 1).all()
    assert (empty.bias == 0).all()


@pytest.mark.parametrize("flip", [False, True])
def test_temperature_stays_positive_for_perfect_and_for_perverse_answers(flip):
    probability = np.linspace(0.01, 0.99, 1001, dtype=np.float32)[None]
    labels = ((probability > 0.5) != flip).astype(np.uint8)
    fitted = fit_temperature(tallied(probability, labels))
    assert np.isfinite(fitted.temperature).all()
    assert 0.05 <= fitted.temperature[0] <= 20
    assert (np.diff(calibrated(probability, fitted)) >= 0).all()


def test_a_threshold_moved_along_gives_the_same_answers():
    probability, labels = drawn(1.7, -1.2, n=20_000)
    tally = tallied(probability, labels)
    fitted, before = fit_temperature(tally), best_thresholds(tally)
    after = move_threshold(before, fitted)
    answers = probability.astype(np.float64) > before[:, None]
    assert np.array_equal(calibrated(probability, fitted) > after[:, None], answers)
    assert 0 < answers.sum() < answers.size
    assert after[0] != pytest.approx(before[0], abs=0.02)


def test_masks_are_calibrated_apart():
    first, second = drawn(2.0, 0.0, seed=1), drawn(0.7, 0.5, seed=2)
    fitted = fit_temperature(tallied(*(np.concatenate(pair) for pair in zip(first, second, strict=True))))
    assert fitted.temperature == pytest.approx([2.0, 0.7], rel=0.03)
    both = calibrated(np.array([[0.3, np.nan], [0.3, 1.0]]), fitted)
    expected = expit(logit(0.3) / fitted.temperature + fitted.bias)
    assert both[:, 0] == pytest.approx(expected)
    assert np.isnan(both[0, 1])
    assert both[1, 1] == 1.0


def test_curve_equals_averages_over_pixels():
    probability, labels = drawn(2.0, 0.3, n=5000)
    curve = calibration_curve(tallied(probability, labels), ["water"], groups=10)
    assert curve["pixels"].sum() == 5000
    for step in curve.itertuples():
        inside = (probability > np.float32(step.low)) & (probability <= np.float32(step.high))
        assert step.pixels == inside.sum()
        assert step.found == pytest.approx(labels[inside].mean())
        assert step.told == pytest.approx(probability[inside].mean(), abs=1 / BINS)


def test_identity_is_temperature_one():
    probability = np.linspace(0, 1, 11)[None]
    assert calibrated(probability, Calibration(np.ones(1), np.zeros(1))) == pytest.approx(probability)
