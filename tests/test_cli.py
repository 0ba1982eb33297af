"""The command line: help with examples, exit codes, quick start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app, main

COMMANDS = [
    ["demo"],
    ["simulate"],
    ["estimate"],
    ["query"],
    ["flux"],
    ["report"],
    ["plan"],
    ["doctor"],
    ["masker", "list"],
    ["masker", "predict"],
    ["masker", "dataset"],
    ["masker", "train"],
    ["masker", "evaluate"],
    ["masker", "convert"],
    ["matchups", "pair"],
    ["matchups", "points"],
    ["matchups", "read"],
    ["matchups", "usgs"],
    ["matchups", "wqp"],
    ["regressor", "list"],
]


@pytest.fixture
def ssc(capsys, monkeypatch):
    """Run the command in this process; gives (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssc", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command):
    answer = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    assert f"Example: ssc {' '.join(command)}" in answer.output


def test_no_command_is_left_out_of_these_tests():
    root = typer.main.get_command(app)
    known = {name for command in COMMANDS for name in command[:1]}
    assert set(root.commands) == known


def test_unknown_option_is_wrong_use(ssc):
    code, _, err = ssc("estimate", "--no-such-option")
    assert code == 2
    assert "--no-such-option" in err


def test_missing_folder_is_wrong_use_in_one_line(ssc, tmp_path):
    code, out, err = ssc(
        *("estimate", tmp_path / "nowhere", "--reaches", tmp_path / "none.gpkg", "--out", tmp_path / "store"),
        *("--engine", "local"),
    )
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "nowhere" in err


def test_query_without_a_store_says_what_to_run(ssc, tmp_path):
    code, _, err = ssc("query", tmp_path / "store")
    assert code == 2
    assert "ssc estimate" in err


def test_masker_and_regressor_lists_are_json_on_request(ssc):
    code, out, _ = ssc("masker", "list", "--json")
    assert code == 0
    assert {"legacy-dswx", "legacy-fmask", "fmask", "mndwi"} <= set(json.loads(out))
    code, out, _ = ssc("regressor", "list", "--json")
    assert code == 0
    assert "physical" in json.loads(out)


def test_doctor_finds_this_installation_sound(ssc):
    code, out, _ = ssc("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(out)}
    broken = {what: finding["found"] for what, finding in findings.items() if finding["needed"] and not finding["ok"]}
    assert broken == {}
    assert code == 0
    assert findings["torch"]["ok"], findings["torch"]


def test_doctor_never_shows_a_secret(ssc, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "sesame-open")
    _, out, err = ssc("doctor", "--json")
    assert "EARTHDATA_TOKEN" in out
    assert "sesame-open" not in out + err


def test_installed_command_answers():
    answer = subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, text=True)
    assert answer.returncode == 0
    assert "estimate" in answer.stdout
