"""Quantiles of all groups at once against numpy, group by group."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ssc.segments import Segments

values_and_groups = st.integers(0, 60).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.float32, size, elements=st.floats(-2, 2, width=32) | st.sampled_from([np.nan, np.inf, -0.0])),
        arrays.arrays(np.int32, size, elements=st.integers(0, 4)),
    )
)


@given(drawn=values_and_groups, share=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]))
def test_quantiles_are_those_of_numpy(drawn, share):
    values, group = drawn
    found = Segments.of(values, group, 6).quantile(share)
    for index in range(6):
        mine = values[(group == index) & np.isfinite(values)].astype(float)
        if mine.size:
            np.testing.assert_allclose(found[index], np.quantile(mine, share), rtol=1e-12, atol=1e-12)
        else:
            assert np.isnan(found[index])


@given(drawn=values_and_groups)
def test_the_sort_keeps_every_finite_value_in_its_group(drawn):
    values, group = drawn
    segments = Segments.of(values, group, 6)
    finite = np.isfinite(values)
    assert segments.size.tolist() == np.bincount(group[finite], minlength=6).tolist()
    for index in range(6):
        mine = segments.values[segments.group == index]
        assert np.array_equal(mine, np.sort(values[finite & (group == index)]))


@given(drawn=values_and_groups)
def test_mad_is_the_scaled_median_deviation(drawn):
    values, group = drawn
    segments = Segments.of(values, group, 6)
    medians = segments.quantile(0.5)
    found = segments.mad(medians)
    for index in np.flatnonzero(segments.size):
        mine = segments.values[segments.group == index].astype(float)
        wanted = 1.4826 * np.median(np.abs(mine - np.median(mine)))
        np.testing.assert_allclose(found[index], wanted, rtol=1e-6, atol=1e-7)


def test_mad_of_a_normal_sample_is_its_standard_deviation():
    values = np.random.default_rng(1).normal(3.0, 0.5, 20_000).astype(np.float32)
    segments = Segments.of(values, np.zeros(values.size, np.int32), 1)
    np.testing.assert_allclose(segments.mad(segments.quantile(0.5)), 0.5, rtol=0.03)
