"""Saved estimators: what is written comes back, what is not what it claims to be is refused and leaves no trace."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor

from ssc.bands import SIX
from ssc.errors import DataError, InputError
from ssc.quality import Quality
from ssc.regression import NAMES, SSCRegressor, card, identity, load
from ssc.regression.artefact import TRUSTED, load_estimator, save
from ssc.regression.card import read_card
from ssc.regression.columns import make_features, schema_hash
from ssc.regression.learners import LEARNERS
from ssc.regression.pair_fit import NetworkPair
from ssc.regression.physical import dogliotti, nechad, novoa

MEDIANS = [f"{band.value}_med" for band in SIX]
SITES = [74299900011, 74299900021, 74299900031, 74299900041, 74299900051]


def matchups(n=130, seed=0):
    """Samples of five rivers; red and NIR follow the sediment."""
    rng = np.random.default_rng(seed)
    red = np.exp(rng.uniform(np.log(0.02), np.log(0.15), n))
    nir = 0.4 * red * np.exp(rng.normal(0, 0.05, n))
    colours = {"blue_med": 0.5 * red, "green_med": 0.8 * red, "red_med": red, "nir_med": nir}
    table = pd.DataFrame({**colours, "swir1_med": 0.2 * nir, "swir2_med": 0.1 * nir})
    site = rng.choice(SITES, n)
    ssc = nechad(red) * np.exp(rng.normal(0, 0.2, n)) * np.where(site == SITES[0], 1.5, 1.0)
    return table.assign(product=rng.choice(["L30", "S30"], n), site=site.astype(str), ssc_mg_l=ssc)


DATA = matchups()
ABOUT = {"name": "tiny", "description": "For tests.", "metrics": {"MdSA": 31.5}, "limits": ["rivers"], "licence": "MIT"}


def plain_estimator(estimator=None):
    return (LinearRegression() if estimator is None else estimator).fit(DATA[MEDIANS], DATA["ssc_mg_l"])


@pytest.fixture
def saved(tmp_path):
    save(plain_estimator(), tmp_path / "out", data=DATA, **ABOUT)
    return tmp_path / "out" / "tiny.json"


@pytest.fixture(scope="module")
def trained():
    model = SSCRegressor(learners=("boosting",), folds=3)
    model.fit(DATA, DATA["ssc_mg_l"], groups=DATA["site"])
    local = DATA[DATA["site"] == str(SITES[0])]
    model.adapt(str(SITES[0]), local, local["ssc_mg_l"])
    return model


def changed(path, **changes):
    """The card with fields changed, or dropped where the new value is `...`."""
    plain = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in plain.items() if value is not ...}))
    return path


def forged(path, content):
    """Another file under the card, which knows its sha256."""
    path.with_suffix(".skops").write_bytes(content)
    return changed(path, sha256=hashlib.sha256(content).hexdigest())


# What is written comes back


def test_card_and_estimator_come_back(saved):
    estimator, found = load_estimator(saved)
    np.testing.assert_array_equal(estimator.predict(DATA[MEDIANS]), plain_estimator().predict(DATA[MEDIANS]))
    assert {path.name for path in saved.parent.iterdir()} == {"tiny.json", "tiny.skops"}
    assert (found.rows, found.sites) == (130, 5)
    assert found.ssc_range == [DATA["ssc_mg_l"].min(), DATA["ssc_mg_l"].max()]
    assert found.columns == found.features == MEDIANS
    assert found.feature_hash == schema_hash(MEDIANS)
    assert found.support["red_med"] == [DATA["red_med"].min(), DATA["red_med"].max()]
    assert found.sha256 == hashlib.sha256(saved.with_suffix(".skops").read_bytes()).hexdigest()
    assert found.versions["scikit-learn"] == sklearn.__version__
    assert found.metrics == {"MdSA": 31.5}
    assert load_estimator(saved.parent)[1] == found


def test_golden_rows_span_the_range_and_hold_no_labels(saved):
    golden = read_card(saved).golden
    rows = pd.DataFrame(golden["inputs"])
    assert len(rows) == len(golden["ssc"]) == 100
    known = DATA.set_index("red_med")["ssc_mg_l"]
    samples = known.loc[rows["red_med"]]
    assert samples.is_monotonic_increasing
    assert (samples.iloc[0], samples.iloc[-1]) == (known.min(), known.max())
    assert golden["ssc"] == pytest.approx(plain_estimator().predict(rows).tolist(), rel=1e-12)
    assert not {"site", "ssc_mg_l"} & set(rows)


def test_every_part_of_our_estimator_comes_back(trained, tmp_path):
    table = DATA.assign(swir1_med=DATA["swir1_med"].mask(DATA.index < 2))
    written = save(trained, tmp_path, data=table, source={"from": "nowhere"}, **ABOUT)
    found, read = load_estimator(tmp_path / "tiny.json")
    assert read == written
    assert read.features == trained.feature_names_in_.tolist()
    assert read.feature_hash == trained.feature_schema_hash_
    assert read.columns == [*MEDIANS, "product"]
    assert read.support["product"] == ["L30", "S30"]
    assert "boosting" in found.ensemble_.learners
    for ask in ("predict", "predict_mean", "predict_interval"):
        for sites in (None, table["site"]):
            wanted = getattr(trained, ask)(table, sites=sites)
            np.testing.assert_array_equal(getattr(found, ask)(table, sites=sites), wanted)
    np.testing.assert_array_equal(found.predict_flags(table), trained.predict_flags(table))
    # It can still learn
    local = DATA[DATA["site"] == str(SITES[1])]
    found.adapt(str(SITES[1]), local, local["ssc_mg_l"])
    assert set(found.sites_) == {str(SITES[0]), str(SITES[1])}


def test_each_learner_is_stored_with_trusted_types_alone():
    model = SSCRegressor(learners=("line",)).fit(DATA, DATA["ssc_mg_l"], groups=DATA["site"])
    features = make_features(DATA, model.feature_names_in_)
    for make in LEARNERS.values():
        learner = make(100, 0).fit(features, np.log(DATA["ssc_mg_l"].to_numpy()))
        content = skops.io.dumps(learner)
        assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED)
        again = skops.io.loads(content, trusted=list(TRUSTED))
        np.testing.assert_array_equal(again.predict(features), learner.predict(features))


def test_the_network_pair_is_stored_but_is_no_regressor(tmp_path):
    pair = NetworkPair(inputs=("red_med", "nir_med"), maximum_out=4.0, max_iter=20, hidden_m1=(4,), hidden_m2=(4,))
    pair.fit(DATA, DATA["ssc_mg_l"])
    save(pair, tmp_path, data=DATA, **ABOUT)
    found, _ = load_estimator(tmp_path)
    pd.testing.assert_frame_equal(found.explain(DATA), pair.explain(DATA))
    with pytest.raises(DataError, match="NetworkPair has no predict_mean predict_interval"):
        load(tmp_path / "tiny.json")


# What is refused


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": 2}, "schema: found version 2, wanted 1"),
        ({"schema": ...}, "schema: found version None, wanted 1"),
        ({"sha256": "0" * 64}, "found sha256 .* wanted 0000000000000000"),
        ({"feature_hash": "0" * 64}, r"made of other features: on the card 0000000000000000\.\.\."),
        ({"features": ["sediment"]}, "no feature sediment in core-v1"),
        ({"features": MEDIANS[:3]}, "made of other features"),
        ({"estimator": "os.system"}, "found a sklearn.* wanted a os.system as on the card"),
        ({"surprise": 1}, "unknown fields"),
        ({"limits": ...}, "found no limits"),
        ({"rows": -3}, "rows: found -3, wanted a whole number above 0"),
        ({"ssc_range": [5, 1]}, "ssc_range"),
        ({"date": "today"}, "date: found 'today', wanted YYYY-MM-DD"),
        ({"name": "../up"}, "name: found '../up'"),
        ({"golden": {"inputs": {"red_med": [1.0]}, "ssc": []}}, "golden"),
        ({"golden": {"inputs": {"red_med": [0.1]}, "ssc": [1.0]}}, "fails on its golden rows"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, changes, told):
    with pytest.raises(DataError, match=told):
        load_estimator(changed(saved, **changes))


def golden_off(path, factor):
    golden = json.loads(path.read_text())["golden"]
    return {**golden, "ssc": [golden["ssc"][0] * factor, *golden["ssc"][1:]]}


def test_predictions_must_come_out_again(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_estimator(changed(saved, golden=golden_off(saved, 1 + 5e-7)))
    with pytest.raises(DataError, match="1 of 100 golden predictions differ, first in row 0") as caught:
        load_estimator(changed(saved, golden=golden_off(saved, 1 + 1e-5)))
    assert "scikit-learn" not in str(caught.value)


def test_another_version_of_scikit_learn_is_a_warning_until_numbers_differ(saved):
    versions = read_card(saved).versions
    major, minor, *_ = sklearn.__version__.split(".")
    patched = {**versions, "scikit-learn": f"{major}.{minor}.99"}
    load_estimator(changed(saved, versions=patched))
    other = {**versions, "scikit-learn": f"{major}.{int(minor) + 1}.0"}
    with pytest.warns(UserWarning, match=f"written with scikit-learn {major}.{int(minor) + 1}.0, here is"):
        load_estimator(changed(saved, versions=other))
    with pytest.raises(DataError, match=r"golden predictions differ.*written with scikit-learn"):
        load_estimator(changed(saved, golden=golden_off(saved, 1.1)))


def test_missing_files_are_told(saved):
    with pytest.raises(InputError, match=r"no card .*none\.json"):
        load_estimator(saved.with_name("none.json"))
    with pytest.raises(InputError, match="found none in that folder"):
        load_estimator(saved.parent.parent)
    saved.with_suffix(".skops").unlink()
    with pytest.raises(DataError, match=r"tiny\.skops: not there, wanted it beside its card"):
        load_estimator(saved)


def test_truncated_files_are_told(saved):
    content, text = saved.with_suffix(".skops").read_bytes(), saved.read_text()
    saved.with_suffix(".skops").write_bytes(content[:-1])
    with pytest.raises(DataError, match="found sha256"):
        load_estimator(saved)
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        with pytest.raises(DataError, match="not a skops file"):
            load_estimator(forged(saved, content[: int(share * len(content))]))
        saved.write_text(text[: int(share * len(text))])
        with pytest.raises(DataError, match=r"card .*tiny\.json"):
            load_estimator(saved)
        saved.write_text(text)


def test_damage_is_an_error_of_ours_or_none(saved):
    content = bytearray(saved.with_suffix(".skops").read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for at in rng.integers(0, len(content), 40):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        try:
            estimator, _ = load_estimator(forged(saved, bytes(damaged)))
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(estimator.predict(DATA[MEDIANS]), plain_estimator().predict(DATA[MEDIANS]))
    assert refused > 20


# Files that mean harm


def test_a_command_inside_is_refused_and_not_run(saved, tmp_path):
    trace = tmp_path / "trace"
    command = FunctionTransformer(func=os.system, kw_args={"command": f"touch {trace}"})
    content = skops.io.dumps(make_pipeline(command, plain_estimator()))
    with pytest.raises(DataError, match=r"refused\. .*posix\.system"):
        load_estimator(forged(saved, content))
    assert not trace.exists()


def test_a_foreign_module_is_refused_and_not_imported(saved, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    (tmp_path / "foreign_trap.py").write_text(f"open({str(trace)!r}, 'w')\nclass Model: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    state = {"__class__": "Model", "__module__": "foreign_trap", "__loader__": "ObjectNode", "__id__": 1}
    schema = {**state, "protocol": 2, "_skops_version": "0.16.0"}
    with zipfile.ZipFile(saved.with_suffix(".skops"), "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    with pytest.raises(DataError, match=r"refused\. .*foreign_trap\.Model"):
        load_estimator(forged(saved, saved.with_suffix(".skops").read_bytes()))
    assert not trace.exists()
    assert "foreign_trap" not in sys.modules


class Payload:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


def test_a_pickle_is_refused_and_not_read(saved, tmp_path):
    trace = tmp_path / "trace"
    content = pickle.dumps(Payload(trace))
    with pytest.raises(DataError, match="not a skops file"):
        load_estimator(forged(saved, content))
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists()


@pytest.mark.parametrize("harm", ["child", "loop", "feature"])
def test_a_tree_that_points_elsewhere_is_refused_before_it_is_asked(saved, harm):
    tree = plain_estimator(DecisionTreeRegressor(max_depth=3))
    inner, value = {"child": ("children_left", 10**7), "loop": ("children_left", 0), "feature": ("feature", 10**7)}[
        harm
    ]
    getattr(tree.tree_, inner)[0] = value
    with pytest.raises(DataError, match="points beyond its 15 nodes or 6 columns, or back"):
        load_estimator(forged(saved, skops.io.dumps(tree)))


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 99), ("is_categorical", 1)]
)
def test_a_boosted_tree_that_points_elsewhere_is_refused(saved, field, value):
    boosted = plain_estimator(HistGradientBoostingRegressor(max_iter=3))
    boosted._predictors[1][0].nodes[field][0] = value
    with pytest.raises(DataError, match=r"points beyond its|with categories"):
        load_estimator(forged(saved, skops.io.dumps(boosted)))


def test_a_tree_for_another_table_is_refused(saved):
    forest = plain_estimator(RandomForestRegressor(3, random_state=0))
    narrow = RandomForestRegressor(3, random_state=0).fit(DATA[MEDIANS[:2]], DATA["ssc_mg_l"])
    forest.estimators_[2] = narrow.estimators_[2]
    with pytest.raises(DataError, match="a tree for 2 columns in an ensemble for 6"):
        load_estimator(forged(saved, skops.io.dumps(forest)))
    forest.estimators_[2] = forest.estimators_[0]
    forest.estimators_[1].n_features_in_ = 2
    with pytest.raises(DataError, match="columns in"):
        load_estimator(forged(saved, skops.io.dumps(forest)))
    loose = plain_estimator()
    loose.coef_ = narrow.estimators_[0].tree_
    with pytest.raises(DataError, match="a Tree outside of an estimator of trees"):
        load_estimator(forged(saved, skops.io.dumps(loose)))


# Saving


def test_what_would_not_be_loaded_is_not_written(tmp_path):
    cases = [
        (make_pipeline(FunctionTransformer(os.path.exists), plain_estimator()), "wanted one that is fitted on a table"),
        (LinearRegression().fit(DATA[MEDIANS].to_numpy(), DATA["ssc_mg_l"]), "fitted on a table with named columns"),
    ]
    named = make_pipeline(FunctionTransformer(np.abs), LinearRegression()).fit(DATA[MEDIANS], DATA["ssc_mg_l"])
    named.steps[0][1].func = os.path.exists
    cases.append((named, "holds types that would not be loaded: genericpath.exists"))
    for estimator, told in cases:
        with pytest.raises(InputError, match=told):
            save(estimator, tmp_path / "out", data=DATA, **ABOUT)
    with pytest.raises(InputError, match="no column site red_med"):
        save(plain_estimator(), tmp_path / "out", data=DATA.drop(columns=["site", "red_med"]), **ABOUT)
    for field, value in {"name": "a/b", "licence": "", "metrics": {"x": float("nan")}}.items():
        with pytest.raises(InputError, match=f"card: {field}"):
            save(plain_estimator(), tmp_path / "out", data=DATA, **{**ABOUT, field: value})
    assert not (tmp_path / "out").exists()


# As a regressor


@pytest.fixture(scope="module")
def regressor(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    save(trained, folder, data=DATA, **ABOUT)
    return load(folder / "tiny.json")


def samples():
    """One row per reach, one of them unseen, as the pipeline has them."""
    table = DATA.iloc[:6][[*MEDIANS, "product"]].set_axis([*SITES, 11], axis=0)
    table.loc[SITES[3], MEDIANS] = np.nan
    return table


def test_a_trained_regressor_answers_like_the_others(regressor, trained):
    table = samples()
    found = regressor.predict(table)
    physical = load("physical").predict(table)
    assert regressor.name == "tiny"
    assert found.dtypes.to_dict() == physical.dtypes.to_dict()
    assert list(found.columns) == list(physical.columns)
    assert found.index.tolist() == table.index.tolist()
    assert found.loc[SITES[3]].drop("ssc_qual").isna().all()
    assert found.loc[SITES[3], "ssc_qual"] == 0
    seen = found.drop(SITES[3])
    assert (seen["ssc_lo90"] < seen["ssc"]).all()
    assert (seen["ssc"] < seen["ssc_hi90"]).all()
    sites = table.index.astype(str)
    np.testing.assert_allclose(found["ssc"], trained.predict(table, sites=sites), rtol=1e-6)
    np.testing.assert_allclose(found["ssc_mean"], trained.predict_mean(table, sites=sites), rtol=1e-6)
    np.testing.assert_allclose(seen["ln_ssc_sd"], np.log(seen["ssc_hi90"] / seen["ssc_lo90"]) / 2 / 1.6449, rtol=1e-5)
    np.testing.assert_allclose(
        seen["turbidity"], dogliotti(table["red_med"], table["nir_med"])[found["ssc"].notna()], rtol=1e-6
    )
    assert regressor.predict(table.iloc[:0]).empty
    assert regressor.predict(table.loc[[SITES[3]]])["ssc"].isna().all()


def test_an_adapted_reach_is_corrected_and_no_other(regressor, trained):
    found, plain = regressor.predict(samples())["ssc"], trained.predict(samples())
    ratio = found / plain
    assert ratio.loc[SITES[0]] > 1.1
    assert ratio.drop(SITES[0]).dropna().tolist() == pytest.approx([1.0] * 4, rel=1e-6)


def test_disagreement_with_the_physical_baseline_is_flagged(tmp_path):
    model = SSCRegressor(learners=("line",)).fit(DATA, 5 * DATA["ssc_mg_l"], groups=DATA["site"])
    save(model, tmp_path, data=DATA, **ABOUT)
    table = DATA[[*MEDIANS, "product"]]
    found = load(tmp_path / "tiny.json").predict(table)
    flagged = (found["ssc_qual"] & int(Quality.BASELINE_DISAGREEMENT)) > 0
    apart = [
        abs(np.log(ssc / max(novoa(red, nir, product), 0.5))) > np.log(5)
        for ssc, red, nir, product in zip(
            model.predict(table), table["red_med"], table["nir_med"], table["product"], strict=True
        )
    ]
    assert flagged.tolist() == apart
    assert 0 < flagged.sum() < len(table)
    others = found["ssc_qual"] & ~int(Quality.BASELINE_DISAGREEMENT)
    assert others.tolist() == model.predict_flags(table).tolist()


def test_regressors_are_found_by_name_or_by_card(saved, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "SHIPPED", tmp_path / "shipped")
    assert list(NAMES) == ["physical", "nechad-red"]
    save(trained, tmp_path / "shipped", data=DATA, **ABOUT)
    assert list(NAMES) == ["physical", "nechad-red", "tiny"]
    assert NAMES["tiny"] == "For tests."
    assert load("tiny").name == "tiny"
    assert identity("tiny") == f"tiny {read_card(tmp_path / 'shipped' / 'tiny.json').sha256}"
    assert identity(saved) != identity("tiny")
    with pytest.raises(InputError, match="no regressor 'magic': wanted one of physical nechad-red tiny, or a path"):
        load("magic")
    with pytest.raises(InputError, match="no card"):
        load(tmp_path / "magic.json")


def test_the_list_of_regressors_needs_no_scikit_learn():
    code = (
        "import sys; from ssc.regression import NAMES, load; dict(NAMES); load('physical');"
        "print([m for m in ('sklearn', 'skops') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
