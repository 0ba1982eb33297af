"""Settings: layers in the right order, nothing misspelt slips through, the YAML is never stale."""

from __future__ import annotations

import pytest
import yaml

from config.settings import DEFAULTS, Settings, default_yaml, load
from ssc.errors import InputError


def test_default_yaml_is_what_the_code_says():
    assert DEFAULTS.read_text() == default_yaml(), "stale: run `python -m config.settings`"


def test_default_yaml_loads_to_the_defaults():
    assert load().model_dump() == Settings.model_construct().model_dump()


def test_every_setting_is_explained():
    lines = default_yaml().splitlines()
    leaves = [number for number, line in enumerate(lines) if line and not line.lstrip().startswith("#")]
    unexplained = [lines[number] for number in leaves if not lines[number - 1].lstrip().startswith("#")]
    assert unexplained == []


@pytest.fixture
def overlay(tmp_path):
    def write(text: str):
        path = tmp_path / "overlay.yaml"
        path.write_text(text)
        return path

    return write


def test_overlay_changes_one_leaf_only(overlay):
    changed = load(overlay("corridor: {margin_m: 90.0}\n"))
    assert changed.corridor.margin_m == 90.0
    untouched = {**yaml.safe_load(default_yaml())["corridor"]}
    untouched.pop("margin_m")
    assert {name: getattr(changed.corridor, name) for name in untouched} == untouched


def test_environment_beats_overlay_and_argument_beats_environment(overlay, monkeypatch):
    monkeypatch.setenv("SSC_WORKERS", "5")
    monkeypatch.setenv("SSC_CORRIDOR__MARGIN_M", "75")
    path = overlay("workers: 3\ncorridor: {margin_m: 90.0}\n")
    assert load(path).workers == 5
    assert load(path).corridor.margin_m == 75
    assert load(path, workers=7).workers == 7


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("wrokers: 3\n", "wrokers"),
        ("corridor: {margin: 3}\n", "corridor.margin"),
        ("workers: 0\n", "workers"),
        ("workers: many\n", "workers"),
        ("workers: [\n", "not YAML"),
    ],
)
def test_bad_overlay_names_the_setting(overlay, text, named):
    with pytest.raises(InputError, match=named):
        load(overlay(text))


def test_missing_overlay_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such settings file"):
        load(tmp_path / "nowhere.yaml")


def test_misspelt_variable_is_refused(monkeypatch):
    monkeypatch.setenv("SSC_CORIDOR__MARGIN_M", "75")
    with pytest.raises(InputError, match="SSC_CORIDOR__MARGIN_M"):
        load()


def test_variables_of_tests_and_makefile_are_not_ours(monkeypatch):
    monkeypatch.setenv("SSC_SHARED", "/somewhere")
    monkeypatch.setenv("SSC_TORCH", "cpu")
    load()
