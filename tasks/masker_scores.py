"""Every masker on the same chips: one table, with the maskers that need no network beside those that do.

    report = evaluate({"ours": neural(load_masker("default"))}, ChipFolder("chips").split("test"), out="scores", seed=0)
    report.scores, report.losses                     # tables; the files lie in `scores/`

Scores are pooled over pixels, per data set ("source") and over all; intervals are of scenes drawn with replacement.
Pixels without label or without answer never count. A masker that cannot judge a chip (no Fmask, no such band) is left
out there, and then the rows of source "common" compare all maskers on the chips that all of them judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibrate import calibration_curve, expected_calibration_error
from models.chips import Chip, Chips
from models.scores import NAMES, Tally, best_thresholds
from ssc.errors import InputError
from ssc.masks import Mask
from tasks.chip_maskers import BASELINES, ChipMasker, Probabilities, as_chip_masker, found_at, judged, legacy
from tasks.score_books import ALL, COMMON, Book, Page, score_table, stack
from tasks.score_figures import Sample, draw_reliability, draw_samples
from tasks.score_files import write_tables
from tasks.turbid_loss import loss_table

Answer = Callable[[Chip], Probabilities | None]
Listener = Callable[[str, Chip, Probabilities, NDArray[np.float64]], None]
"""Hears every answer: name of the masker, chip, (5, H, W) probabilities, (5,) thresholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to evaluate."""

    baselines: tuple[str, ...] = BASELINES
    """Maskers without weights to put beside, by name."""
    needed: Mapping[str, tuple[Mask, ...]] = field(default_factory=dict)
    """By source, the masks that decide what clear water is; all five for sources not named. A pixel counts where all of
    them are labelled, so name the sources that never label one."""
    resamples: int = 1000
    """Of the scenes, for the intervals."""
    pictures: int = 6
    """Chips to draw; 0 for no picture."""
    listener: Listener | None = None
    """Hears every answer, for scores that this module does not know."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What came out."""

    scores: pd.DataFrame
    """A row per source, masker and mask, or clear_water: threshold, chips, scenes, scores and their intervals."""
    losses: pd.DataFrame
    """A row per source, masker and class of turbid water; see `tasks.turbid_loss`."""
    reliability: pd.DataFrame
    """Calibration curves of the maskers that give probabilities, over all sources."""
    thresholds: dict[str, NDArray[np.float64]]
    """(5,) of every masker, as used."""
    facts: dict[str, Any]
    """Seed, counts, options, where thresholds are from, expected calibration errors; as in the JSON file."""
    files: dict[str, Path]
    """What was written, by what it is."""


def evaluate(
    maskers: Mapping[str, Answer],
    chips: Chips,
    *,
    out: str | Path,
    seed: int,
    report: Callable[[dict[str, Any]], None] | None = None,
    refit_on: Chips | None = None,
    options: Options | None = None,
) -> Report:
    """Score maskers, and the baselines, on the same chips; write tables and figures.

    Args:
        maskers: By name; `chip_maskers.neural` and `legacy` bring thresholds along, plain functions are cut at 0.5.
        chips: Each is read once, and every masker asked about it.
        out: Folder for the files.
        seed: Of the resampling and of the choice of chips to draw.
        report: Hears `{"stage", "done", "total"}` after every chip.
        refit_on: Choose thresholds anew on these (a validation split), for maskers that give probabilities.
        options: More of how to evaluate.

    Raises:
        InputError: No chips, or thresholds would be chosen on regions that are scored.
    """
    options = options or Options()
    _check(chips, refit_on)
    tell = report or _silent
    asked = {name: as_chip_masker(masker) for name, masker in maskers.items()}
    asked |= {name: legacy(name) for name in options.baselines if name not in asked}
    thresholds = {name: _own_thresholds(masker) for name, masker in asked.items()}
    if refit_on is not None:
        thresholds |= _refit(asked, refit_on, thresholds, tell)
    books = {name: Book(masker=masker, thresholds=thresholds[name]) for name, masker in asked.items()}
    samples = _go_through(books, chips, options, seed, tell)
    return _written(books, samples, chips, Path(out), seed, options, refitted=refit_on is not None)


def _go_through(
    books: Mapping[str, Book], chips: Chips, options: Options, seed: int, tell: Callable[[dict[str, Any]], None]
) -> list[Sample]:
    """Ask every masker about every chip; returns the chips to draw."""
    drawn, samples = _choose(chips.index["source"], options.pictures, seed), []
    for place in range(len(chips)):
        chip = chips[place]
        needed = tuple(options.needed.get(chip.source, tuple(Mask)))
        answers = {name: book.masker(chip) for name, book in books.items()}
        everyone = all(answer is not None for answer in answers.values())
        groups = (chip.source, COMMON) if everyone else (chip.source,)
        for name, answer in answers.items():
            if answer is not None:
                books[name].add(chip, answer, needed, groups)
                if options.listener is not None:
                    options.listener(name, chip, answer, books[name].thresholds)
        if place in drawn:
            samples.append(Sample(chip=chip, found=_found(books, answers)))
        tell({"stage": "scores", "done": place + 1, "total": len(chips)})
    return samples


def _found(books: Mapping[str, Book], answers: Mapping[str, Probabilities | None]) -> dict[str, NDArray[np.uint8]]:
    """Answers as labels: 1, 0, 255 where there is none."""
    return {
        name: judged(answer, found_at(answer, books[name].thresholds).astype(np.uint8))
        for name, answer in answers.items()
        if answer is not None
    }


def _choose(sources: pd.Series[str], pictures: int, seed: int) -> set[int]:
    """Places of chips to draw: a random one of each source in turn."""
    order = pd.Series(np.random.default_rng(seed).permutation(len(sources)))
    turn = order.groupby(sources.reset_index(drop=True)).rank(method="first")
    return set(pd.DataFrame({"turn": turn, "order": order}).sort_values(["turn", "order"]).index[:pictures].tolist())


def _refit(
    maskers: Mapping[str, ChipMasker],
    chips: Chips,
    own: Mapping[str, NDArray[np.float64]],
    tell: Callable[[dict[str, Any]], None],
) -> dict[str, NDArray[np.float64]]:
    """Best thresholds of the maskers that have any choice; their own for masks they do not tell or that are nowhere."""
    tallies = {name: Tally() for name, masker in maskers.items() if masker.soft}
    for place in range(len(chips)):
        chip = chips[place]
        for name, tally in tallies.items():
            answer = maskers[name](chip)
            if answer is not None:
                tally.add(answer, chip.labels)
        tell({"stage": "thresholds", "done": place + 1, "total": len(chips)})
    chosen = {}
    for name, tally in tallies.items():
        told = np.isin(list(Mask), maskers[name].tasks) & tally.counts[:, 1].any(axis=-1)
        chosen[name] = np.where(told, best_thresholds(tally), own[name])
    return chosen


def _own_thresholds(masker: ChipMasker) -> NDArray[np.float64]:
    thresholds = 0.5 if masker.thresholds is None else masker.thresholds
    return np.array(np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(Mask)))


def _check(chips: Chips, refit_on: Chips | None) -> None:
    if len(chips) == 0:
        raise InputError("nothing to evaluate on: found no chips, wanted at least one")
    if taken := {ALL, COMMON} & set(chips.index["source"]):
        raise InputError(f"no source may be called so: found {' '.join(taken)}, which name rows over several sources")
    if refit_on is None:
        return
    scored, chosen = ({*zip(c.index["source"], c.index["region"], strict=True)} for c in (chips, refit_on))
    if shared := sorted(scored & chosen):
        names = ", ".join(f"{source} {region}" for source, region in shared[:3])
        raise InputError(f"thresholds must not be chosen on what is scored: found {names} in both, wanted none")


def _silent(_: dict[str, Any]) -> None:
    """Nobody listens."""


def _written(
    books: Mapping[str, Book],
    samples: list[Sample],
    chips: Chips,
    out: Path,
    seed: int,
    options: Options,
    *,
    refitted: bool,
) -> Report:
    absent = any(
        sum(page.chips for name, page in book.pages.items() if name != COMMON) < len(chips) for book in books.values()
    )
    pages = {(source, name): page for name, book in books.items() for source, page in book.read(common=absent)}
    scores = score_table(books, pages, options.resamples, seed)
    losses = stack({at: loss_table(page.losses, n=options.resamples, seed=seed) for at, page in pages.items()})
    soft = {name: pages[ALL, name].tally for name, book in books.items() if book.masker.soft}
    reliability = stack({(ALL, name): calibration_curve(tally) for name, tally in soft.items()})
    facts = _facts(books, pages, chips, seed, options, refitted=refitted)
    facts["expected_calibration_error"] = {
        name: dict(zip(NAMES, expected_calibration_error(tally).tolist(), strict=True)) for name, tally in soft.items()
    }
    files = write_tables(out, scores=scores, losses=losses, reliability=reliability, facts=facts)
    if len(reliability):
        files["reliability_png"] = draw_reliability(out / "reliability.png", reliability)
    if samples:
        files["samples_png"] = draw_samples(out / "samples.png", samples, list(books))
    thresholds = {name: book.thresholds for name, book in books.items()}
    return Report(
        scores=scores, losses=losses, reliability=reliability, thresholds=thresholds, facts=facts, files=files
    )


def _facts(
    books: Mapping[str, Book],
    pages: Mapping[tuple[str, str], Page],
    chips: Chips,
    seed: int,
    options: Options,
    *,
    refitted: bool,
) -> dict[str, Any]:
    index = chips.index
    scenes = Counter(index.drop_duplicates(["source", "scene"])["source"])
    return {
        "seed": seed,
        "resamples": options.resamples,
        "interval": "90 % of resamples of scenes",
        "chips": len(chips),
        "scenes": sum(scenes.values()),
        "sources": {
            source: {
                "chips": len(rows),
                "scenes": scenes[source],
                "regions": int(rows["region"].nunique()),
                "simulated": bool(rows["simulated"].all()),
                "needed_for_clear_water": [mask.name.lower() for mask in options.needed.get(source, tuple(Mask))],
            }
            for source, rows in ((str(name), rows) for name, rows in index.groupby("source"))
        },
        "maskers": {
            name: {
                "chips": pages[ALL, name].chips,
                "tasks": [mask.name.lower() for mask in book.masker.tasks],
                "thresholds": dict(zip(NAMES, book.thresholds.tolist(), strict=True)),
                "thresholds_from": _origin(book.masker, refitted=refitted),
            }
            for name, book in books.items()
        },
    }


def _origin(masker: ChipMasker, *, refitted: bool) -> str:
    if not masker.soft:
        return "answers are 0 or 1"
    if refitted:
        return "refitted"
    return "card" if masker.thresholds is not None else "default 0.5"
