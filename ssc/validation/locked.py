"""Locked test: sites set aside before modelling, and a ledger of every time anybody looked.

The ledger is a small JSON file beside the match-ups, `matchups.csv` -> `matchups.locked.json`. It names the locked
sites, drawn once, and every run on them: when, with which settings and rows, with what score. A run with other
settings or rows than those before is refused, because choosing by the locked test makes it a training set; `again`
lets it happen, and the ledger and the report then say so. Deleting the file unlocks the sites: it belongs under
version control.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.drafts import drafted
from ssc.errors import DataError, InputError
from ssc.provenance import code_commit, settings_hash
from ssc.validation import splits
from ssc.validation.contest import FEATURES, Contender

VERSION: Final = 1
HASHED: Final = ("site", "sample_id", "ssc_mg_l", "censored", "weight", "dt_h", *FEATURES)
"""Columns that make the data hash."""
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One look at the locked sites."""

    date: str
    """UTC, ISO 8601."""
    settings_hash: str
    data_hash: str
    again: bool
    """True where settings or rows differed from all earlier runs, and it was run nevertheless."""
    code_commit: str | None
    score: dict[str, dict[str, float | None]]
    """Contender to its figures."""

    def same_as(self, settings: str, data: str) -> bool:
        """True for a run of these very settings and rows."""
        return (self.settings_hash, self.data_hash) == (settings, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the file holds."""

    sites: tuple[str, ...]
    """Locked for good."""
    seed: int
    runs: tuple[Run, ...] = ()

    def allow(self, settings: str, data: str, *, again: bool = False) -> bool:
        """Whether a run is another look with other settings or rows; True then needs `again`.

        Raises:
            InputError: It is, and `again` was not said.
        """
        other = bool(self.runs) and not any(run.same_as(settings, data) for run in self.runs)
        if other and not again:
            last = self.runs[-1]
            changed = "settings" if last.data_hash == data else "rows"
            raise InputError(
                f"locked test: run {len(self.runs)} times, last {last.date} with other {changed} "
                f"(hash {last.settings_hash} / {last.data_hash}, now {settings} / {data}); "
                "a second look is no longer a test: say --again to do it and have the report tell"
            )
        return other

    def told(self, settings: str, data: str) -> str:
        """A sentence on earlier looks, for the report of a run that is about to be noted."""
        if not self.runs:
            return "First look at the locked sites."
        others = [run for run in self.runs if not run.same_as(settings, data)]
        same = len(self.runs) - len(others)
        if not others:
            return f"The locked sites were looked at {same} times before, with the same settings and rows."
        dates = ", ".join(run.date[:10] for run in others)
        return (
            f"**Not a first look: the locked sites were looked at with other settings or rows {len(others)} times "
            f"before ({dates}), and {same} times with these. Scores may have been chosen by them.**"
        )


def ledger_path(matchups: Path) -> Path:
    """The ledger of a match-up file.

    >>> ledger_path(Path("data/matchups.csv")).name
    'matchups.locked.json'
    """
    return matchups.with_suffix(".locked.json")


def read(path: Path) -> Ledger:
    """The ledger of a file.

    Raises:
        DataError: No ledger, or a broken one; nothing is guessed, for a lost ledger would unlock the sites.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise DataError(f"ledger {path}: found version {content['version']}, wanted {VERSION}")
        runs = tuple(Run(**run) for run in content["runs"])
        return Ledger(sites=tuple(content["sites"]), seed=content["seed"], runs=runs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"ledger {path} cannot be read: {error!r}; restore it, or delete it knowingly") from error


def lock(table: pd.DataFrame, path: Path, *, seed: int = 0) -> Ledger:
    """The ledger, made if there is none: 15 % of the sites over the whole range of SSC are locked from now on."""
    if path.exists():
        return read(path)
    fresh = Ledger(sites=splits.locked_sites(table, seed=seed), seed=seed)
    _write(path, fresh)
    return fresh


def outside(table: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """The rows that may be used before the locked test: those of other sites."""
    return table[~table["site"].astype(str).isin(ledger.sites)].reset_index(drop=True)


def note(path: Path, run: Run) -> None:
    """Add a run to the ledger."""
    before = read(path)
    _write(path, Ledger(sites=before.sites, seed=before.seed, runs=(*before.runs, run)))


def run_of(settings: str, data: str, score: Mapping[str, Mapping[str, float]], *, again: bool) -> Run:
    """A run that happened now."""
    plain = {
        name: {metric: float(value) if np.isfinite(value) else None for metric, value in of.items()}
        for name, of in score.items()
    }
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Run(date=date, settings_hash=settings, data_hash=data, again=again, code_commit=code_commit(), score=plain)


def hash_settings(split: str, seed: int, contenders: Sequence[Contender], options: Any) -> str:
    """16 hex digits of everything chosen: split, seed, options, and each contender's name, class and parameters."""
    entered = {contender.name: (contender.columns, _describe(contender.make())) for contender in contenders}
    return settings_hash({"split": split, "seed": seed, "contenders": entered, "options": options})


def hash_data(table: pd.DataFrame, contenders: Sequence[Contender] = ()) -> str:
    """16 hex digits of the rows and of the columns that scores depend on, whatever the order of the rows."""
    given = sorted({name for contender in contenders for name in contender.columns})
    kept = [name for name in (*HASHED, *given) if name in table]
    plain = table[kept].apply(lambda column: column.astype(float) if _is_number(column) else column.astype(str))
    rows = np.sort(pd.util.hash_pandas_object(plain, index=False).to_numpy())
    return hashlib.sha256(" ".join(kept).encode() + rows.tobytes()).hexdigest()[:16]


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _describe(estimator: Any) -> tuple[str, dict[str, str]]:
    """Class and parameters as text; addresses of functions, which differ from run to run, left out."""
    found = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else vars(estimator)
    return type(estimator).__qualname__, {name: _ADDRESS.sub("", repr(value)) for name, value in found.items()}


def _write(path: Path, ledger: Ledger) -> None:
    runs = [{name: getattr(run, name) for name in Run.__slots__} for run in ledger.runs]
    content = {"version": VERSION, "seed": ledger.seed, "sites": list(ledger.sites), "runs": runs}
    with drafted(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
