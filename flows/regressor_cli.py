"""`ssc regressor`: list, train, evaluate, adapt, budget. scikit-learn is loaded inside the commands that need it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.shown import show_names

regressor_app = typer.Typer(
    help="Regressors: who turns water reflectance into SSC.", no_args_is_help=True, rich_markup_mode=None
)


class Layout(StrEnum):
    """What a file of match-ups is."""

    OURS = "ours"
    PANTANAL = "pantanal"


class Groups(StrEnum):
    """What is held out together when a regressor is judged in training."""

    SITE = "site"
    DATE = "date"


class Held(StrEnum):
    """What is held out."""

    SITE = "site"
    BASIN = "basin"
    DATE = "date"
    LOCKED = "locked"


Json = Annotated[bool, typer.Option("--json", help="Machine-readable summary on stdout.")]
Matchups = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="Match-ups, .csv or .parquet, as ssc matchups pair makes.")
]
LayoutOption = Annotated[
    Layout, typer.Option("--format", help="ours, or pantanal: the published Pantanal table, for evaluation only.")
]
Seed = Annotated[int, typer.Option(help="Of folds, learners and bootstrap.")]


@regressor_app.command("list", epilog="Example: ssc regressor list")
def list_(as_json: Json = False) -> None:
    """Regressors by name: formulas, and trained ones that are shipped."""
    from ssc.regression import NAMES

    show_names(NAMES, as_json=as_json)


@regressor_app.command(epilog="Example: ssc regressor train --matchups pairs.parquet --name mekong --out out/mekong")
def train(
    matchups: Matchups,
    name: Annotated[str, typer.Option(help="Of the regressor, on its card and in results.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.skops.")],
    description: Annotated[str, typer.Option(help="One line for ssc regressor list.")] = "trained on local match-ups",
    licence: Annotated[str, typer.Option(help="Of the regressor.")] = "not told",
    source: Annotated[str, typer.Option(help="Where the match-ups are from, for the card.")] = "not told",
    limit: Annotated[list[str] | None, typer.Option(help="What it cannot do, for the card; may be repeated.")] = None,
    groups: Annotated[
        Groups, typer.Option(help="What is held out together; date only where there is one river, and say so.")
    ] = Groups.SITE,
    folds: Annotated[int, typer.Option(min=2, help="Into how many parts these are dealt.")] = 5,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a regressor on match-ups, judge it on sites held out, write it with its card.

    Use it afterwards: ssc estimate granules/ --reaches sword.gpkg --regressor out/mekong/mekong.json --out store
    """
    from flows.regressors import Wanted, train_regressor

    wanted = Wanted(name=name, description=description, licence=licence, source=source, limits=tuple(limit or ()))
    _say(train_regressor(matchups, wanted, out, groups=groups.value, folds=folds, seed=seed), as_json=as_json)


@regressor_app.command(epilog="Example: ssc regressor evaluate --matchups pairs.parquet --split site --out out/scores")
def evaluate(
    matchups: Matchups,
    out: Annotated[Path, typer.Option(help="Folder for report.md, tables and pictures.")],
    layout: LayoutOption = Layout.OURS,
    split: Annotated[
        Held, typer.Option(help="What is held out; locked: 15 % of the sites, to be looked at once.")
    ] = Held.SITE,
    folds: Annotated[int, typer.Option(min=2, help="Of the split by site.")] = 5,
    seed: Seed = 0,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of the sites; 0: no intervals.")] = 1000,
    again: Annotated[
        bool, typer.Option("--again", help="Run the locked test although it was run with other settings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Judge the estimator, the production pair and the baselines on the same held-out rows."""
    from flows.regressors import Exam, evaluate_regressors

    exam = Exam(matchups=matchups, layout=layout.value, split=split.value, folds=folds, seed=seed, draws=draws)
    _say(evaluate_regressors(exam, out, again=again), as_json=as_json)


@regressor_app.command(
    epilog="Example: ssc regressor adapt --regressor out/mekong.json --samples pairs.parquet --out out/local"
)
def adapt(
    regressor: Annotated[str, typer.Option(help="Name or card of a trained regressor.")],
    samples: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Match-ups of the sites to adapt to.")],
    out: Annotated[Path, typer.Option(help="Folder for the adapted regressor.")],
    name: Annotated[str | None, typer.Option(help="Of the adapted regressor; default: NAME-local.")] = None,
    as_json: Json = False,
) -> None:
    """Teach a trained regressor the offset of sites from three or more samples each; others are left as they were.

    Sites are known by reach_id where the match-ups have it, so that ssc estimate corrects those reaches.
    """
    from flows.regressors import adapt_regressor

    _say(adapt_regressor(regressor, samples, out, name=name), as_json=as_json)


@regressor_app.command(epilog="Example: ssc regressor budget --basins 10 --out out/budget")
def budget(
    out: Annotated[Path, typer.Option(help="Folder for budget.md, tables and the figure.")],
    basins: Annotated[int, typer.Option(min=1, help="Simulated basins.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the first basin; none of training is used.")] = 9300,
    regressor: Annotated[str, typer.Option(help="Name or card, see ssc regressor list.")] = "physical",
    masker: Annotated[list[str] | None, typer.Option(help="Name; may be repeated; default: all.")] = None,
    granules: Annotated[int, typer.Option(min=1, help="Overpasses of each basin.")] = 8,
    size: Annotated[int, typer.Option(min=128, max=3660, help="Pixels of 30 m per side.")] = 512,
    as_json: Json = False,
) -> None:
    """Split the error of SSC on SIMULATED basins into masks, aggregation and regression."""
    from flows.budget import run_budget

    command = f"ssc regressor budget --basins {basins} --seed {seed} --regressor {regressor}"
    found = run_budget(
        out,
        basins=basins,
        seed=seed,
        regressor=regressor,
        maskers=tuple(masker or ()),
        granules=granules,
        size=size,
        command=command,
    )
    _say(found, as_json=as_json)


def _say(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2, default=str))
        return
    for what, value in facts.items():
        if not isinstance(value, dict | list):
            print(f"{what:<14} {value}")
