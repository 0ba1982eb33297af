"""What `ssc masker evaluate` does: maskers and baselines on the same chips, tables on stdout and in files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from flows.bars import staged_bar
from models.chips import Chip, ChipFolder, Chips
from models.masker import load_masker
from models.windows_scores import SIZE, by_cover, paired_differences, window_scores
from ssc.errors import InputError
from ssc.legacy.maskers import NAMES as WITHOUT_WEIGHTS
from tasks.benchmarks import TOA_NOTE, open_benchmark
from tasks.benchmarks.table import beside_published, count_classes
from tasks.chip_maskers import ChipMasker, found_at, legacy, neural
from tasks.chips.joined import joined
from tasks.masker_scores import Options, evaluate

COLUMNS = ["source", "masker", "mask", "threshold", "precision", "recall", "f1", "f1_low", "f1_high", "iou", "accuracy"]
"""Of the table that is printed; the file has more."""
CHIP_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What maskers are scored on, and how."""

    chips: tuple[Path, ...] = ()
    """Folders of chips."""
    split: str = "test"
    benchmark: str | None = None
    """A public benchmark instead of chips."""
    path: Path | None = None
    """Where the benchmark lies."""
    refit: bool = False
    """Choose thresholds anew on the split val, not the cards'."""
    seed: int = 0
    device: str = "auto"


@dataclass(slots=True, kw_only=True)
class _Notes:
    """What is noted beside the pooled scores while every masker answers every chip."""

    windows: dict[str, list[pd.DataFrame]] = field(default_factory=lambda: defaultdict(list))
    """Scores per window of 128 px, by masker."""
    classes: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Counts of cloud, cloud shadow and clear, by masker."""

    def hear(self, name: str, chip: Chip, answer: NDArray[np.float32], thresholds: NDArray[np.float64]) -> None:
        """One answer."""
        if min(answer.shape[-2:]) >= SIZE:
            table = window_scores(answer, chip.labels, thresholds, scene=chip.scene)
            # chips do not know where in their scene they lie: each gets rows of its own
            self.windows[name].append(table.assign(row=table["row"] + CHIP_ROWS * len(self.windows[name])))
        counted = count_classes(found_at(answer, thresholds), chip.labels)
        self.classes[name] = self.classes.get(name, np.zeros_like(counted)) + counted


def evaluate_maskers(names: Sequence[str], exam: Exam, out: Path) -> dict[str, Any]:
    """Score maskers, print the table, write files; returns the scores as plain values.

    Raises:
        InputError: No such masker, chips or benchmark.
    """
    chosen, maskers, notes = _chips(exam), {name: _masker(name, exam.device) for name in names}, _Notes()
    with staged_bar() as tick:
        report = evaluate(
            maskers,
            chosen,
            out=out,
            seed=exam.seed,
            report=lambda facts: tick(facts["stage"], facts["done"], facts["total"], ""),
            refit_on=joined([ChipFolder(folder).split("val") for folder in exam.chips]) if exam.refit else None,
            options=Options(listener=notes.hear),
        )
    _write_windows(notes, out)
    console = Console()
    _show(report.scores[[column for column in COLUMNS if column in report.scores]], console)
    if exam.benchmark is not None:
        table = beside_published(exam.benchmark, notes.classes)
        table.to_csv(out / "benchmark.csv", index=False)
        console.print(TOA_NOTE, soft_wrap=True)
        _show(table, console)
    return {"out": str(out), "scores": report.scores.to_dict("records"), **report.facts}


def _chips(exam: Exam) -> Chips:
    if exam.benchmark is not None:
        if exam.chips or exam.path is None or exam.refit:
            raise InputError(
                "a benchmark is scored by itself: wanted --benchmark NAME --path DIR, no --chips or --refit"
            )
        return open_benchmark(exam.benchmark, exam.path)
    if not exam.chips:
        raise InputError("nothing to score on: wanted --chips DIR, or --benchmark NAME --path DIR")
    return joined([ChipFolder(folder).split(exam.split) for folder in exam.chips])


def _masker(name: str, device: str) -> ChipMasker:
    return legacy(name) if name in WITHOUT_WEIGHTS else neural(load_masker(name, device=device))


def _write_windows(notes: _Notes, out: Path) -> None:
    """Scores by cloud cover of each masker, and of each against the first, window by window."""
    if not notes.windows:
        return
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in notes.windows.items()}
    cover = [by_cover(table).assign(masker=name) for name, table in tables.items()]
    pd.concat(cover, ignore_index=True).to_csv(out / "windows_by_cover.csv", index=False)
    first, *others = tables
    pairs = [
        paired_differences(tables[other], tables[first]).assign(masker=first, minus=other)
        for other in others
        if len(tables[other]) == len(tables[first])
    ]
    if pairs:
        pd.concat(pairs, ignore_index=True).to_csv(out / "windows_differences.csv", index=False)


def _show(table: pd.DataFrame, console: Console) -> None:
    text = table.to_string(index=False, float_format=lambda number: f"{number:.3f}", na_rep="")
    console.print(text, highlight=False, markup=False, soft_wrap=True)
