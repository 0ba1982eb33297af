"""What `ssc regressor train`, `evaluate` and `adapt` do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console

from ssc.bands import SIX
from ssc.errors import InputError
from ssc.matchups.files import read_table
from ssc.regression import SSCRegressor
from ssc.regression.artefact import load_estimator, save
from ssc.regression.card import shipped_names, shipped_path
from ssc.regression.estimator import LEAST_LOCAL
from ssc.regression.pair import MINIMUM_OUT
from ssc.regression.pair_fit import NetworkPair
from ssc.validation import (
    PUBLISHED,
    Contender,
    Options,
    Pairs,
    Report,
    baselines,
    evaluate,
    ledger_path,
    read_pantanal,
    score,
)
from ssc.validation.contest import contest, prepared, teaches
from ssc.validation.splits import by_site

OURS: Final = "ssc-regressor"
SHOWN: Final = ("mdsa", "medae", "rmse", "sspb", "coverage", "width")
"""Figures of the first contender that a summary shows."""
PAIR_ROWS: Final = 50
"""Of clear and of turbid water each, without which the production pair is not trained: folds would be left without."""
ON_CARD: Final = ("mdsa", "sspb", "medae", "mae", "rmse", "rmsle", "pearson_log", "coverage", "width")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written on the card of a trained regressor."""

    name: str
    description: str
    licence: str
    source: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What regressors are judged on, and how."""

    matchups: Path
    layout: str = "ours"
    split: str = "site"
    folds: int = 5
    seed: int = 0
    draws: int = 1000


def train_regressor(
    matchups: Path, wanted: Wanted, out: Path, *, groups: str = "site", folds: int = 5, seed: int = 0
) -> dict[str, Any]:
    """Train on all rows after judging on held-out ones; write the artefact. Returns what was done.

    Args:
        matchups: Table of match-ups.
        wanted: What the card is to say.
        out: Folder.
        groups: What is held out together: site, or date (UTC day of acquisition) where there is one river.
        folds: Into how many parts these are dealt.
        seed: Of the deal and the learners.

    Raises:
        InputError: Match-ups of fewer than two groups, or a card that cannot be.
        DataError: A table that holds no match-ups.
    """
    table = prepared(read_table(matchups, "matchup"))
    rows = table[teaches(table)].reset_index(drop=True)
    held = rows.assign(site=rows["acquisition"].dt.strftime("%Y-%m-%d")) if groups == "date" else rows
    if held["site"].nunique() < 2:
        raise InputError(f"{matchups}: rows of {held['site'].nunique()} {groups} to learn from, wanted two or more")
    metrics = _held_out(held, folds, seed) | {"groups": groups}
    model = _fitted(held, folds, seed)
    options = f"--name {wanted.name} --groups {groups} --folds {folds} --seed {seed}"
    command = f"ssc regressor train --matchups {matchups.name} {options}"
    card = save(
        model,
        out,
        name=wanted.name,
        description=wanted.description,
        data=rows,
        metrics=metrics | {"learners": dict(model.ensemble_.errors), "chosen": list(model.ensemble_.chosen)},
        limits=wanted.limits,
        licence=wanted.licence,
        source={"source": wanted.source, "command": command},
    )
    card_path = out / f"{card.name}.json"
    shown = {name: metrics.get(name) for name in SHOWN}
    return {"card": str(card_path), "rows": card.rows, "sites": card.sites, "left_out": len(table) - len(rows)} | shown


def evaluate_regressors(exam: Exam, out: Path, *, again: bool = False) -> dict[str, Any]:
    """Judge ours, the production pair and the baselines on the same rows. Returns the figures of ours, and the files.

    Raises:
        InputError: A split that cannot be, or a second locked test without `again`.
        DataError: A table that holds no match-ups.
    """
    table = read_pantanal(exam.matchups) if exam.layout == "pantanal" else read_table(exam.matchups, "matchup")
    ledger = ledger_path(exam.matchups) if exam.layout == "ours" or exam.split == "locked" else None
    options = Options(folds=exam.folds, draws=exam.draws)
    with Console(stderr=True).status("fitting and judging"):
        report = evaluate(
            table,
            contenders(table, seed=exam.seed),
            split=exam.split,
            seed=exam.seed,
            out=out,
            options=options,
            ledger=ledger if ledger is not None and (ledger.exists() or exam.split == "locked") else None,
            again=again,
        )
    return _summary(report, out)


def contenders(table: pd.DataFrame, *, seed: int = 0) -> list[Contender]:
    """Ours first, then what it must beat; the pair and given predictions when the table has what they need."""
    bands = tuple(f"{band.value}_med" for band in SIX)
    ours = Contender(name=OURS, make=lambda: SSCRegressor(random_state=seed), remark="this project's estimator")
    pairs = (
        []
        if not _trains_pair(table)
        else [
            Contender(
                name=f"pair-{mode}",
                make=lambda mode=mode: NetworkPair(inputs=bands, mode=mode, random_state=seed),
                remark=f"the production network pair ({mode} rule) trained by us on the six medians",
            )
            for mode in ("strict", "repaired")
        ]
    )
    told = [baselines.given(PUBLISHED, "published", "fitted by its authors on these very stations")]
    return [ours, *baselines.baselines(), *pairs, *(told if PUBLISHED in table else [])]


def _trains_pair(table: pd.DataFrame) -> bool:
    """Whether there are rows for both networks of the production pair: for clear and for turbid water."""
    clear = table["ssc_mg_l"].between(np.exp(MINIMUM_OUT), np.exp(NetworkPair().maximum_out))
    return bool(min(clear.sum(), (~clear).sum()) >= PAIR_ROWS)


def adapt_regressor(regressor: str, samples: Path, out: Path, *, name: str | None = None) -> dict[str, Any]:
    """Add the corrections of every site with enough samples to a trained regressor, and write it anew.

    Raises:
        InputError: A regressor that cannot be adapted, or no site with enough samples.
        DataError: A table that holds no match-ups.
    """
    model, card = load_estimator(shipped_path(regressor) if regressor in shipped_names() else Path(regressor))
    if not isinstance(model, SSCRegressor):
        raise InputError(f"{regressor} is a {type(model).__name__}, which learns nothing from local samples")
    table = prepared(read_table(samples, "matchup"))
    rows = table[teaches(table)]
    adapted, few = deepcopy(model), []
    for site, part in rows.groupby(_names(rows)):
        if len(part) < LEAST_LOCAL:
            few.append(str(site))
        else:
            adapted.adapt(str(site), part, part["ssc_mg_l"])
    if not adapted.sites_:
        raise InputError(f"{samples}: no site with {LEAST_LOCAL} samples or more, found {len(few)} with fewer")
    written = save(
        adapted,
        out,
        name=name or f"{card.name}-local",
        description=f"{card.description}; corrected at {len(adapted.sites_)} sites",
        data=rows,
        metrics={"before_adapting": card.metrics},
        limits=[*card.limits, "Scores were taken before the local corrections, on other sites."],
        licence=card.licence,
        source={"adapted_from": card.name, "sha256": card.sha256, "data": card.data},
    )
    return {
        "card": str(out / f"{written.name}.json"),
        "adapted": len(adapted.sites_),
        "too_few": len(few),
        "sites": sorted(adapted.sites_),
    }


def _names(rows: pd.DataFrame) -> pd.Series:
    """Under which name a row's site is known when reaches are estimated: its reach, else itself."""
    reach = rows["reach_id"].to_numpy(dtype=np.int64)
    return pd.Series(np.where(reach > 0, reach.astype(str), rows["site"].astype(str)), index=rows.index)


def _fitted(rows: pd.DataFrame, folds: int, seed: int) -> SSCRegressor:
    model = SSCRegressor(folds=folds, random_state=seed)
    return model.fit(rows, rows["ssc_mg_l"], groups=rows["site"], sample_weight=rows["weight"])


def _held_out(rows: pd.DataFrame, folds: int, seed: int) -> dict[str, Any]:
    """Scores on groups (column site) that neither the estimator nor its choice of learners had seen."""
    parts = min(folds, rows["site"].nunique())
    ours = Contender(name=OURS, make=lambda: SSCRegressor(folds=folds, random_state=seed))
    found = contest(rows, [ours], by_site(rows, seed=seed, folds=parts))
    pairs: Pairs = found.pairs(OURS)
    figures = score(pairs)
    kept = {name: figures[name] for name in ON_CARD if name in figures and np.isfinite(figures[name])}
    return kept | {"judged": f"{parts} folds of whole groups, seed {seed}; learners chosen anew inside each fold"}


def _summary(report: Report, out: Path) -> dict[str, Any]:
    ours = report.score(OURS)
    return {
        "split": report.split,
        "rows": ours["n"],
        "sites": ours["n_sites"],
        **{name: ours.get(name) for name in SHOWN},
        "report": str(out / "report.md"),
    }
