"""How well networks trained on some sensors judge others: counts of pixels, windows of 128 px, fewer bands.

Everything told is computed from counts per scene, which are saved: `score_table(pd.read_csv("counts.csv"))`. A pixel
without data in any band given counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.bandtable import table_of
from models.bootstrap import intervals
from models.calibrate import expected_calibration_error
from models.cards import Card, load_weights
from models.chips import Chip
from models.multitask import MultiTaskNet, NetworkConfig, build_network
from models.scores import NAMES, Confusion, Tally, count
from models.windows_scores import SIZE, by_cover, paired_differences, window_scores
from ssc.bands import SIX, Band, Sensor, responses
from ssc.masks import Mask
from tasks.chip_maskers import Probabilities, found_at, judged
from tasks.experiments.sensor_exams import Exam, Pile

Tell = Callable[[int, int], None]
"""Hears how many chips are done, of how many."""

BATCH: Final = 8
CELLS: Final = ("right", "wrong", "missed", "rejected")
"""Pixels there and found, found but not there, there but missed, neither: the columns of `Confusion.counts`."""
METRICS: Final = ("accuracy", "f1", "precision", "recall")
"""In the order of the published table."""
ORDER: Final = (Mask.CLOUD, *(mask for mask in Mask if mask is not Mask.CLOUD))
"""The published experiment was about clouds: they come first."""
KEY: Final = ("tested_on", "trained_on")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """A trained network with its calibration."""

    name: str
    """What it was trained on."""
    card: Card
    network: MultiTaskNet
    """Of all five masks, in evaluation mode."""

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """(5,) of calibrated probability, chosen on its own validation chips."""
        return np.array([self.card.thresholds[mask] for mask in Mask])

    @property
    def any_bands(self) -> bool:
        """Whether it takes any bands; else those of its card, in that order."""
        return self.network.config.stem != "fixed"

    def takes(self, bands: Sequence[Band]) -> bool:
        """Whether it can judge chips with these bands."""
        return self.any_bands or set(self.card.bands) <= set(bands)

    @torch.inference_mode()
    def __call__(self, chips: Sequence[Chip], bands: Sequence[Band], sensor: Sensor) -> Probabilities:
        """(N, 5, H, W) calibrated probabilities; NaN where a band given has no data."""
        used = tuple(bands) if self.any_bands else self.card.bands
        device = self.network.heads.weight.device
        light = np.stack([chip.reflectance[[chip.bands.index(band) for band in used]] for chip in chips])
        table = table_of([responses(sensor, used)] * len(chips)) if self.any_bands else None
        logits = self.network(torch.from_numpy(light).to(device), table).float().cpu()
        slope, shift = (
            torch.tensor([of[mask] for mask in Mask])[:, None, None]
            for of in (self.card.temperatures, self.card.biases)
        )
        found = torch.sigmoid(logits / slope + shift).numpy()
        return np.where(np.isfinite(light).all(axis=1, keepdims=True), found, np.float32(np.nan))


def open_judge(name: str, card: Card, weights: Path, device: str) -> Judge:
    """A trained network from its card.

    Args:
        name: What it was trained on.
        card: Of the masker.
        weights: The file beside the card.
        device: Where it computes, "cpu" or "cuda".

    Raises:
        DataError: Weights that are broken or not the card's.
    """
    network = build_network(NetworkConfig.from_dict(card.architecture))
    network.load_state_dict(load_weights(card, weights))
    return Judge(name=name, card=card, network=network.eval().to(device))


@dataclass(slots=True, kw_only=True, eq=False)
class Notes:
    """What one network says in one exam."""

    scenes: dict[str, Confusion] = field(default_factory=dict)
    """(5,) by scene."""
    tally: Tally = field(default_factory=Tally)
    windows: list[pd.DataFrame] = field(default_factory=list)

    def add(self, chip: Chip, answer: Probabilities, thresholds: NDArray[np.float64], place: int) -> None:
        """One chip; `place` tells its window from those of other chips of the scene."""
        counted = count(found_at(answer, thresholds), judged(answer, chip.labels))
        before = self.scenes.get(chip.scene)
        self.scenes[chip.scene] = counted if before is None else before + counted
        self.tally.add(answer, chip.labels)
        side = min(SIZE, *answer.shape[1:])
        seen = window_scores(answer, chip.labels, thresholds, scene=chip.scene, size=side)
        self.windows.append(seen.assign(row=seen["row"] + 1000 * place))

    def counts(self) -> pd.DataFrame:
        """A row per scene and mask: pixels of each of `CELLS`."""
        rows = [
            {"scene": scene, "mask": name, **dict(zip(CELLS, cells, strict=True))}
            for scene, confusion in self.scenes.items()
            for name, cells in zip(NAMES, confusion.counts.tolist(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["scene", "mask", *CELLS])

    def every_window(self) -> pd.DataFrame:
        """As `models.windows_scores.window_scores`, of all chips."""
        return pd.concat(self.windows, ignore_index=True)

    def calibration(self) -> pd.DataFrame:
        """Expected calibration error of each mask."""
        return pd.DataFrame({"mask": NAMES, "calibration_error": expected_calibration_error(self.tally)})


def examine(judge: Judge, exam: Exam, tell: Tell) -> Notes:
    """Show a network every chip of an exam."""
    notes, done = Notes(), 0
    for chips in _batches(exam.chips):
        for chip, answer in zip(chips, judge(chips, exam.bands, exam.sensor), strict=True):
            notes.add(chip, answer, judge.thresholds, done)
            done += 1
        tell(done, len(exam.chips))
    return notes


def score_table(counts: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The table of the published experiment: rows by what was trained on, clouds first.

    Args:
        counts: trained_on, tested_on, scene, mask and `CELLS`, in any order of rows.
        resamples: Of scenes, for the intervals.
        seed: Of those.

    Returns:
        mask, tested_on, trained_on, `METRICS` pooled over pixels, f1_lo and f1_hi (90 % of the resamples), support,
        pixels, scenes.
    """
    tables = {}
    for (exam, trained), rows in counts.groupby(list(KEY), sort=False):
        by_scene = _by_scene(rows)
        whole = Confusion(counts=by_scene.counts.sum(axis=0))
        require_harmony(whole)
        table = whole.table(NAMES).join(intervals(by_scene, NAMES, n=resamples, seed=seed)).reset_index()
        tables[str(exam), str(trained)] = table.assign(scenes=len(by_scene.counts))
    every = stacked(tables)
    rank = every["mask"].map({mask.name.lower(): place for place, mask in enumerate(ORDER)})
    columns = ["mask", *KEY, *METRICS, "f1_lo", "f1_hi", "support", "pixels", "scenes"]
    return every.iloc[rank.argsort(kind="stable")][columns].reset_index(drop=True)


def _by_scene(rows: pd.DataFrame) -> Confusion:
    """(scenes, 5) of one network in one exam."""
    sums = rows.groupby(["scene", "mask"], sort=False)[list(CELLS)].sum()
    every = pd.MultiIndex.from_product([sums.index.unique("scene"), NAMES])
    return Confusion(counts=sums.reindex(every, fill_value=0).to_numpy(np.int64).reshape(-1, len(NAMES), len(CELLS)))


def require_harmony(confusion: Confusion) -> None:
    """F1 is the harmonic mean of precision and recall, as in the published table; else a count is wrong."""
    precision, recall = confusion.precision, confusion.recall
    both = np.isfinite(precision) & np.isfinite(recall) & (precision + recall > 0)
    harmonic = 2 * precision[both] * recall[both] / (precision[both] + recall[both])
    assert np.allclose(confusion.f1[both], harmonic, rtol=1e-12, atol=0)


def windows_by_cover(notes: Mapping[tuple[str, str], Notes]) -> pd.DataFrame:
    """Mean scores by cloud cover, per exam and network; what is undefined: see `models.windows_scores`."""
    return stacked({key: by_cover(of.every_window()) for key, of in notes.items()})


def windows_differences(
    notes: Mapping[tuple[str, str], Notes], pairs: Sequence[tuple[str, str]], seed: int
) -> pd.DataFrame:
    """How much better at clouds the first network of each pair is than the second (minus), in the same windows."""
    tables = []
    for exam in dict.fromkeys(name for name, _ in notes):
        for better, than in pairs:
            every = (notes[exam, name].every_window() for name in (than, better))
            first, second = (table[table["mask"] == Mask.CLOUD.name] for table in every)
            found = paired_differences(first, second, seed=seed)
            tables.append(stacked({(exam, better): found}).assign(minus=than))
    return pd.concat(tables, ignore_index=True)


def stacked(tables: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """Tables of (exam, network) one under another, with both in front."""
    named = [table.assign(**dict(zip(KEY, key, strict=True))) for key, table in tables.items()]
    return pd.concat([table[[*KEY, *table.columns.drop(list(KEY))]] for table in named], ignore_index=True)


def _batches(chips: Pile) -> Iterator[list[Chip]]:
    for start in range(0, len(chips), BATCH):
        yield [chips[place] for place in range(start, min(start + BATCH, len(chips)))]


# Fewer bands


def subset_scores(
    judges: Sequence[Judge], exam: Exam, *, draws: int, fewest: int, seed: int, tell: Tell
) -> pd.DataFrame:
    """F1 with random subsets of an exam's bands, and with the six standard ones; the same for every network.

    Returns:
        tested_on, trained_on, bands (how many), subset (which), random, chips, the F1 of each mask, mean_f1.
    """
    subsets = [*((subset, True) for subset in random_subsets(exam.bands, draws, fewest, seed)), (SIX, False)]
    asked = [(judge, *subset) for subset in subsets for judge in judges if judge.any_bands]
    rows: list[dict[str, Any]] = []
    for done, (judge, subset, random) in enumerate(asked):
        found = confusion_of(judge, replace(exam, bands=subset))
        facts = {"tested_on": exam.name, "trained_on": judge.name, "bands": len(subset), "subset": " ".join(subset)}
        scores = {**dict(zip(NAMES, f1_there(found), strict=True)), "mean_f1": mean_f1(found)}
        rows.append({**facts, "random": random, "chips": len(exam.chips), **scores})
        tell(done + 1, len(asked))
    return pd.DataFrame(rows)


def random_subsets(bands: Sequence[Band], draws: int, fewest: int, seed: int) -> list[tuple[Band, ...]]:
    """So many different random subsets of each size, in the bands' order; fewer where there are no more."""
    rng = np.random.default_rng(seed)
    out: list[tuple[Band, ...]] = []
    for size in range(min(fewest, len(bands)), len(bands) + 1):
        found: dict[tuple[Band, ...], None] = {}
        for _ in range(20 * draws):
            if len(found) == draws:
                break
            chosen = np.sort(rng.choice(len(bands), size, replace=False))
            found[tuple(bands[place] for place in chosen)] = None
        out += found
    return out


def leave_one_out(judges: Sequence[Judge], exam: Exam, tell: Tell) -> pd.DataFrame:
    """What each band is worth: F1 with all bands of an exam less F1 without one of them.

    Returns:
        tested_on, trained_on, missing, chips, mask, f1, drop.
    """
    asked = [(judge, band) for judge in judges if judge.any_bands for band in exam.bands]
    full = {judge.name: f1_there(confusion_of(judge, exam)) for judge in judges if judge.any_bands}
    rows: list[dict[str, Any]] = []
    for done, (judge, missing) in enumerate(asked):
        left = tuple(band for band in exam.bands if band is not missing)
        f1 = f1_there(confusion_of(judge, replace(exam, bands=left)))
        facts = {"tested_on": exam.name, "trained_on": judge.name, "missing": missing.value, "chips": len(exam.chips)}
        for name, found, whole in zip(NAMES, f1, full[judge.name], strict=True):
            rows.append({**facts, "mask": name, "f1": found, "drop": whole - found})
        tell(done + 1, len(asked))
    return pd.DataFrame(rows)


def f1_there(confusion: Confusion) -> NDArray[np.float64]:
    """F1 of the masks that are there; NaN for others, of which only false alarms are known."""
    return np.where(confusion.support > 0, confusion.f1, np.nan)


def mean_f1(confusion: Confusion) -> float:
    """Mean over the masks that are there at all; NaN if none is."""
    found = f1_there(confusion)[confusion.support > 0]
    return float(found.mean()) if found.size else float("nan")


def confusion_of(judge: Judge, exam: Exam) -> Confusion:
    """(5,) of a network in an exam, pooled over pixels."""
    total = Confusion(counts=np.zeros((len(Mask), len(CELLS)), np.int64))
    for chips in _batches(exam.chips):
        for chip, answer in zip(chips, judge(chips, exam.bands, exam.sensor), strict=True):
            total += count(found_at(answer, judge.thresholds), judged(answer, chip.labels))
    return total
