"""The whole of a validation: contest, scores, intervals, few-shot curve, pictures, and the file that tells them.

evaluate(read_pantanal(path), [Contender(name="ours", make=SSCRegressor), *baselines()], split="site", seed=0, out=out)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.provenance import code_commit, code_version
from ssc.validation import locked, plots, tables
from ssc.validation.bootstrap import differences, intervals
from ssc.validation.contest import Contender, Contest, contest, prepared
from ssc.validation.groups import ALL, COMMON, NEAR, row_groups
from ssc.validation.learning import KS, can_adapt, curve
from ssc.validation.metrics import METRICS, score
from ssc.validation.splits import FOLDS, SPLITS, Split
from ssc.validation.splits import locked as locked_split
from ssc.validation.text import report_text

SURE_OF: Final = ("mdsa", "medae", "mae", "sspb", "coverage")
"""Figures with bootstrap intervals, on the groups `ALL`, `COMMON` and `NEAR`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much work, and which columns count."""

    folds: int = FOLDS
    """Of the split by site."""
    draws: int = 1000
    """Bootstrap draws of the sites; 0 for no intervals."""
    ks: tuple[int, ...] = KS
    """Local samples of the few-shot curve; empty for no curve."""
    curve_draws: int = 5
    weight: str = "weight"
    """Column of sample weights, for fitting."""
    lag: str = "dt_h"
    """Column of hours from sample to acquisition."""
    weigh_scores: bool = False
    """Whether scores are weighted too, so that a sample with many granules counts once."""
    pictures: bool = True
    """Whether to draw; takes longer than all the rest."""

    def that_count(self) -> dict[str, Any]:
        """Those that can change a score: the rest only adds to it."""
        return {"folds": self.folds, "weight": self.weight, "lag": self.lag, "weigh_scores": self.weigh_scores}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What a validation found; `out` holds it as files."""

    split: str
    seed: int
    contenders: dict[str, str]
    """Name to remark."""
    contest: Contest
    scores: pd.DataFrame
    """One row per group and contender: n, n_sites, n_missing, all of METRICS, and `_lo`, `_hi` of SURE_OF."""
    differences: pd.DataFrame
    """Paired differences of the first contender to each other one, as `tables.difference_row`."""
    curve: pd.DataFrame
    """Few-shot curves with a column `contender`; empty without."""
    notes: tuple[str, ...]
    """Sentences a reader must see: locked sites, censored rows, weights."""
    hashes: dict[str, str]
    """settings and data."""
    pictures: bool
    """Whether they are drawn."""
    out: Path

    def score(self, contender: str, group: str = ALL) -> dict[str, Any]:
        """The figures of one contender on one group of rows.

        Raises:
            InputError: No such contender or group.
        """
        found = self.scores[(self.scores["contender"] == contender) & (self.scores["group"] == group)]
        if found.empty:
            raise InputError(f"no score of {contender!r} on {group!r}")
        return {str(key): value for key, value in found.iloc[0].items()}


def evaluate(
    table: pd.DataFrame,
    contenders: Sequence[Contender],
    *,
    split: str | Split = "site",
    seed: int = 0,
    out: Path,
    options: Options | None = None,
    ledger: Path | None = None,
    again: bool = False,
) -> Report:
    """Judge contenders on the same held-out rows; writes report.md, report.json, tables and pictures.

    Args:
        table: Match-ups.
        contenders: The first is compared with each of the others.
        split: site, basin, date, locked, or a `Split` of this very table.
        seed: Of the split, the bootstrap and the few-shot draws.
        out: Folder to write to.
        options: By default `Options()`.
        ledger: `locked.ledger_path(matchups)`. The locked test needs it; any other split by name leaves the sites out
            that it locks.
        again: Run the locked test although it was run with other settings or rows.

    Raises:
        InputError: A table, split or contender that cannot be, or a second locked test without `again`.
        DataError: A broken ledger.
    """
    chosen = options or Options()
    frame = prepared(table, weight=chosen.weight, lag=chosen.lag)
    name = split if isinstance(split, str) else split.name
    settings = locked.hash_settings(name, seed, contenders, chosen.that_count())
    data = locked.hash_data(frame, contenders)
    notes: list[str] = []
    other = False
    if split == "locked":
        held = locked.lock(frame, _needed(ledger), seed=seed)
        other = held.allow(settings, data, again=again)
        notes.append(f"Locked test on {len(held.sites)} sites. {held.told(settings, data)}")
        made = locked_split(frame, held.sites)
    else:
        frame, made = _open(frame, split, seed, chosen, ledger, notes)
    found = contest(frame, contenders, made)
    scores = _scores(found, chosen, seed)
    if split == "locked":
        # Noted before anything is written that a reader could look at.
        shown = scores[scores["group"] == ALL].set_index("contender")[[*METRICS]].to_dict("index")
        figures = {str(who): {str(name): value for name, value in of.items()} for who, of in shown.items()}
        locked.note(_needed(ledger), locked.run_of(settings, data, figures, again=other))
    report = Report(
        split=name,
        seed=seed,
        contenders={contender.name: contender.remark for contender in contenders},
        contest=found,
        scores=scores,
        differences=_differences(found, chosen, seed),
        curve=_curves(frame, contenders, made, chosen, seed),
        notes=(*notes, *_notes(found, chosen)),
        hashes={"settings": settings, "data": data},
        pictures=chosen.pictures,
        out=out,
    )
    write(report)
    return report


def write(report: Report) -> None:
    """All files of a report, into its folder."""
    out = report.out
    out.mkdir(parents=True, exist_ok=True)
    tables.write_csv(report.scores, out / "scores.csv")
    tables.write_csv(report.differences, out / "differences.csv")
    if len(report.curve):
        tables.write_csv(report.curve, out / "learning.csv")
    with drafted(out / "predictions.parquet") as draft:
        report.contest.long().to_parquet(draft, index=False)
    pictures = _pictures(report) if report.pictures else []
    with drafted(out / "report.json") as draft:
        draft.write_text(json.dumps(_summary(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with drafted(out / "report.md") as draft:
        draft.write_text(report_text(report, pictures), encoding="utf-8")


def _open(
    frame: pd.DataFrame, split: str | Split, seed: int, options: Options, ledger: Path | None, notes: list[str]
) -> tuple[pd.DataFrame, Split]:
    """The rows a cross-validation may use, and its split."""
    if isinstance(split, Split):
        return frame, split
    if split not in SPLITS:
        raise InputError(f"no split {split!r}: wanted one of {' '.join(SPLITS)} locked")
    if ledger is not None and ledger.exists():
        held = locked.read(ledger)
        notes.append(f"The {len(held.sites)} locked sites were left out.")
        frame = locked.outside(frame, held)
    more = {"seed": seed, "folds": options.folds} if split == "site" else {}
    return frame, SPLITS[split](frame, **more)


def _needed(ledger: Path | None) -> Path:
    if ledger is None:
        raise InputError("locked test without a ledger: name the file that remembers who looked (ledger_path)")
    return ledger


def _scores(found: Contest, options: Options, seed: int) -> pd.DataFrame:
    rows = []
    for group, members in row_groups(found.rows, found.common()).items():
        for name in found.answers:
            pairs = found.pairs(name, members, weighted=options.weigh_scores)
            row = {"group": group, "contender": name, **score(pairs), "n_missing": found.missing(name, members)}
            if group in {ALL, COMMON, NEAR} and len(pairs.observed) and options.draws:
                figures = {metric: METRICS[metric].of for metric in SURE_OF}
                for metric, ends in intervals(pairs, figures, n=options.draws, seed=seed).items():
                    row |= {f"{metric}_lo": ends.low, f"{metric}_hi": ends.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _differences(found: Contest, options: Options, seed: int) -> pd.DataFrame:
    first, *others = found.answers
    rows = [
        tables.difference_row(first, other, metric, int((found.answered(first) & found.answered(other)).sum()), ends)
        for other in others
        for metric, ends in differences(
            found, first, other, n=options.draws, seed=seed, weighted=options.weigh_scores
        ).items()
    ]
    return pd.DataFrame(rows)


def _curves(
    frame: pd.DataFrame, contenders: Sequence[Contender], split: Split, options: Options, seed: int
) -> pd.DataFrame:
    """Few-shot curves of those that adapt; none where sites are on both sides, as when days are held out."""
    if not options.ks or split.name == "date":
        return pd.DataFrame()
    parts = [
        curve(frame, contender, split, ks=options.ks, draws=options.curve_draws, seed=seed).assign(
            contender=contender.name
        )
        for contender in contenders
        if can_adapt(contender)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _notes(found: Contest, options: Options) -> list[str]:
    notes = []
    censored = int((~found.judged()).sum())
    if censored:
        notes.append(f"{censored} rows below the detection limit were answered but neither trained on nor scored.")
    if options.weigh_scores:
        notes.append(f"Scores are weighted by the column {options.weight}.")
    unknown = int(found.rows["dt_h"].isna().sum())
    if unknown:
        notes.append(f"The lag between sample and acquisition is unknown for {unknown} of {len(found.rows)} rows.")
    return notes


def _pictures(report: Report) -> list[str]:
    out, found = report.out, report.contest
    plots.scatter(found, out / "scatter.png")
    plots.residuals(found, out / "residuals.png")
    made = ["scatter.png", "residuals.png"]
    if plots.coverage(found, out / "coverage.png"):
        made.append("coverage.png")
    if len(report.curve):
        plots.learning(report.curve, list(found.answers), out / "learning.png")
        made.append("learning.png")
    return made


def _summary(report: Report) -> dict[str, Any]:
    rows = report.contest.rows
    return {
        "split": report.split,
        "seed": report.seed,
        "folds": int(rows["fold"].nunique()),
        "rows": len(rows),
        "sites": int(rows["site"].nunique()),
        "contenders": report.contenders,
        "hashes": report.hashes,
        "code_version": code_version(),
        "code_commit": code_commit(),
        "notes": list(report.notes),
        "metrics": {name: {k: v for k, v in asdict(metric).items() if k != "of"} for name, metric in METRICS.items()},
        "scores": _records(report.scores),
        "differences": _records(report.differences),
        "learning": _records(report.curve),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON, null where there is no number."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
