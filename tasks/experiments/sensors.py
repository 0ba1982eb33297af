"""Is one network for several sensors worth it? The same small network is trained on S30, on L30 and on both.

    facts = run(Plan(), Path("out"), command="by hand", report=print)

After A. Francis, Sensor-Independent Deep Learning for Cloud Masking (talk at MSSL/Phi-lab), with both directions where
the talk tests on Sentinel alone, and a sensor that no network was trained on. All trainings have the same number of
optimiser steps, seed and rule by which the best epoch is chosen; so the one on both sees each sensor half as often.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import timm
import torch

from models.cards import Card, read_card
from models.chips import ChipFolder
from models.finish import finish
from models.runfolder import TrainResult, result_files
from models.train import train
from models.trainsettings import TrainSettings, device_kind
from models.windows_scores import SIZE
from ssc.bands import Product
from tasks.experiments import sensor_figures as figures
from tasks.experiments import sensor_scores as scoring
from tasks.experiments.sensor_chips import Report, make_chips, views_of
from tasks.experiments.sensor_exams import TM_LIKE, Exam, kind_of, real_exams, sensor_exams, some
from tasks.experiments.sensor_plan import BOTH, Plan, Training, Views, settings_of, trainings
from tasks.experiments.sensor_tables import markdown, write_csv, write_json, write_text

PAIRS: Final = ((BOTH, "S30"), (BOTH, "L30"))
"""Compared window by window: the first minus the second."""
SWEPT: Final = ("S30", "L30")
"""Tests repeated with fewer bands."""
Notes = Mapping[tuple[str, str], scoring.Notes]
"""By test and training."""


def run(plan: Plan, out: Path, *, command: str, report: Report) -> dict[str, Any]:
    """Make chips, train, test, write tables and figures. What an earlier run trained is not trained again.

    Args:
        plan: What to do.
        out: Folder for everything.
        command: That asked for it, for the record.
        report: Hears how far it is.

    Returns:
        What `summary.json` says.

    Raises:
        InputError: Chips that cannot serve, or a folder that holds another experiment.
    """
    seconds = _Seconds()
    folders, tests = _chips(plan, out, report)
    views = {product: views_of(folders, product, out / "views") for product in Product}
    exams, kind = sensor_exams(tests, plan.seed), kind_of(tests)
    seconds.lap("chips")
    judges = [_trained(plan, training, views, out, command, report) for training in trainings(plan)]
    seconds.lap("training")
    scores = _examined(plan, out, judges, exams, kind, report)
    seconds.lap("tests")
    _fewer_bands(plan, out, judges, [exam for exam in exams if exam.name in SWEPT], kind, report)
    seconds.lap("fewer bands")
    real = _on_real_water(plan, out, judges, report)
    seconds.lap("real water")
    facts = {
        "data": kind,
        "command": command,
        "seed": plan.seed,
        "plan": _plain(plan),
        "chips": {product.value: _split_counts(views[product]) for product in Product},
        "trainings": {judge.name: _facts_of(judge, out) for judge in judges},
        "tests": {exam.name: {"chips": len(exam.chips), "bands": list(exam.bands)} for exam in exams},
        "seconds": seconds.laps,
        "versions": _versions(),
    }
    write_text(out / "sensors.md", markdown(scores, kind=kind, about=_about(facts), real=real))
    write_json(out / "summary.json", facts)
    return facts


# Chips


def _chips(plan: Plan, out: Path, report: Report) -> tuple[list[Path], list[ChipFolder]]:
    """Folders to train on, and the chips to test on."""
    if not plan.chips:
        folders = [make_chips(out / "chips", plan.basins, report, plan.processes)]
        return folders, [ChipFolder(folders[0]).split("test")]
    folders = [Path(folder) for folder in plan.chips]
    tests = [part for part in (ChipFolder(folder).split("test") for folder in folders) if len(part)]
    if not tests:
        only = replace(plan.basins, train=0, val=0)
        tests = [ChipFolder(make_chips(out / "chips_test", only, report, plan.processes))]
    return folders, tests


# Training


def _trained(
    plan: Plan,
    training: Training,
    views: Views,
    out: Path,
    command: str,
    report: Report,
) -> scoring.Judge:
    """The network, trained now or before, with thresholds and calibration from its own validation chips."""
    settings = settings_of(plan, training, views, out)
    result = train(settings, report=lambda facts: report(*_progress(training.name, facts)))
    card = _card(settings, result, training.folder, command)
    weights = Path(settings.out) / f"{card.name}.safetensors"
    return scoring.open_judge(training.name, card, weights, device_kind(plan.device))


def _card(settings: TrainSettings, result: TrainResult, name: str, command: str) -> Card:
    path = Path(settings.out) / f"{name}.json"
    if path.exists():
        return read_card(path)[0]
    return finish(settings, result, name=name, command=command)


def _progress(name: str, facts: Mapping[str, Any]) -> tuple[str, int, int, str]:
    stage = f"trained on {name}, epoch {facts['epoch'] + 1} of {facts['epochs']} {facts['phase']}"
    loss = facts.get("loss")
    return stage, facts["step"], facts["of"], "" if loss is None else f"loss {loss:.3f}"


# Tests


def _examined(
    plan: Plan, out: Path, judges: Sequence[scoring.Judge], exams: Sequence[Exam], kind: str, report: Report
) -> pd.DataFrame:
    """Every network on every test: counts, scores, windows, calibration; returns the scores."""
    notes = _notes(judges, exams, report)
    counts = scoring.stacked({key: of.counts() for key, of in notes.items()})
    scores = scoring.score_table(counts, resamples=plan.resamples, seed=plan.seed)
    cover = scoring.windows_by_cover(notes)
    gaps = scoring.windows_differences(notes, PAIRS, plan.seed)
    calibration = scoring.stacked({key: of.calibration() for key, of in notes.items()})
    tables = {
        "counts": counts,
        "sensors": scores,
        "windows": cover,
        "windows_differences": gaps,
        "calibration": calibration,
    }
    for name, table in tables.items():
        write_csv(out / f"{name}.csv", table, kind)
    side = min(SIZE, *exams[0].chips[0].labels.shape[1:])
    shown = {"tested_on": exams[0].name, "pair": PAIRS[0], "side": side}
    figures.draw_windows(out / "windows.png", cover, gaps, kind=kind, **shown)
    return scores


def _notes(
    judges: Sequence[scoring.Judge], exams: Sequence[Exam], report: Report
) -> dict[tuple[str, str], scoring.Notes]:
    """Every network on every test that it can take."""
    return {
        (exam.name, judge.name): scoring.examine(
            judge, exam, _teller(report, f"trained on {judge.name}, tested on {exam.name}")
        )
        for exam in exams
        for judge in judges
        if judge.takes(exam.bands)
    }


def _fewer_bands(
    plan: Plan, out: Path, judges: Sequence[scoring.Judge], exams: Sequence[Exam], kind: str, report: Report
) -> None:
    """Subsets of bands, and each band left out, on some chips of each sensor."""
    subsets, lost = [], []
    for exam in (some(exam, plan.sweep_chips) for exam in exams):
        tell = _teller(report, f"subsets of bands, tested on {exam.name}")
        how = {"draws": plan.draws, "fewest": plan.fewest, "seed": plan.seed}
        subsets.append(scoring.subset_scores(judges, exam, **how, tell=tell))
        lost.append(scoring.leave_one_out(judges, exam, _teller(report, f"a band left out, tested on {exam.name}")))
    by_number, by_band = (pd.concat(tables, ignore_index=True) for tables in (subsets, lost))
    write_csv(out / "subsets.csv", by_number, kind)
    write_csv(out / "leave_one_out.csv", by_band, kind)
    figures.draw_subsets(out / "subsets.png", by_number, kind=kind)
    figures.draw_leave_one_out(out / "leave_one_out.png", by_band, kind=kind, trained_on=BOTH)


def _on_real_water(plan: Plan, out: Path, judges: Sequence[scoring.Judge], report: Report) -> pd.DataFrame | None:
    """Water on real river chips kept for tests; None where there are none."""
    if plan.river_chips is None:
        return None
    notes = _notes(judges, real_exams(Path(plan.river_chips)), report)
    counts = scoring.stacked({key: of.counts() for key, of in notes.items()})
    scores = scoring.score_table(counts, resamples=plan.resamples, seed=plan.seed)
    water = scores[scores["mask"] == "water"]
    write_csv(out / "river_chips.csv", water, "real")
    return water


# The record


class _Seconds:
    """How long each part took, seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """The part that ends now."""
        now = time.monotonic()
        self.laps[name], self._since = round(now - self._since, 1), now


def _teller(report: Report, stage: str) -> scoring.Tell:
    return lambda done, total: report(stage, done, total, "")


def _split_counts(views: Sequence[str]) -> dict[str, int]:
    """Chips of one sensor for training and validation."""
    return {split: sum(len(ChipFolder(view).split(split)) for view in views) for split in ("train", "val")}


def _facts_of(judge: scoring.Judge, out: Path) -> dict[str, Any]:
    log = pd.read_csv(result_files(out / "runs" / judge.card.name)["log"], sep="\t")
    return {
        "masker": judge.card.name,
        "epochs": len(log),
        "steps": int(log["step"].sum()),
        "best_epoch": int(judge.card.training["best_epoch"]) + 1,
        "training_seconds": round(float(log["seconds"].sum()), 1),
    }


def _plain(plan: Plan) -> dict[str, Any]:
    """Plain values for JSON; of folders the last part, for the whole may name a user."""
    rivers = plan.river_chips
    named = replace(
        plan,
        chips=tuple(Path(folder).name for folder in plan.chips),
        river_chips=None if rivers is None else Path(rivers).name,
    )
    return json.loads(json.dumps(asdict(named)))


def _versions() -> dict[str, str]:
    modules = {"torch": torch.__version__, "timm": timm.__version__, "numpy": np.__version__, "pandas": pd.__version__}
    return {"python": platform.python_version(), **modules}


def _about(facts: Mapping[str, Any]) -> list[str]:
    """How it was done, in sentences."""
    steps = " and ".join(sorted({f"{of['steps']:,}" for of in facts["trainings"].values()}))
    chips = ", ".join(f"{of['train']:,} of {name}" for name, of in facts["chips"].items())
    tests = [f"{name} ({of['chips']} chips, {len(of['bands'])} bands)" for name, of in facts["tests"].items()]
    return [
        f"The same network and seed {facts['seed']}, chips for training: {chips}.",
        f"Each training has {steps} optimiser steps of {facts['plan']['batch_size']} chips, whatever it is trained on.",
        "So the training on both sees each sensor half as often as the trainings on one.",
        "Best epoch, thresholds and calibration: from each training's own validation chips, seen with six bands.",
        f"Tests: {', '.join(tests)}. No threshold is moved for a test.",
        f"{TM_LIKE}: S30 averaged into the broad bands of Landsat 5, other gains, more noise, saturation, 8 bits.",
        "Nobody is trained on it; random broad bands, averages of neighbours, are a part of every training.",
        "Percent, pooled over known pixels; 90 % intervals are of scenes drawn with replacement.",
    ]
