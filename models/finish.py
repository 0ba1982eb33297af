"""From a finished run to a masker: thresholds and calibration on the validation chips, weights, and a card."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

import torch

from models.beginning import pool_of
from models.calibrate import expected_calibration_error, fit_temperature, move_threshold
from models.cards import Card, write_weights
from models.checkpoint import load_state
from models.chips import ChipFolder
from models.losses import LOSSES
from models.multitask import build_network
from models.processes import Group
from models.runfolder import TrainResult
from models.scores import Tally, best_thresholds, scores
from models.trainsettings import TrainSettings
from models.validation import validate
from ssc.masks import Mask

HALO, WINDOW = 64, 1024
"""Pixels: what is dropped at the edges of a window, and its side."""
_TOLD_ELSEWHERE: Final = ("network", "begin")
"""Settings that a card tells as `architecture` and `began_with`; the second may name a folder of whoever trained."""


def finish(
    settings: TrainSettings, result: TrainResult, *, name: str, command: str, licence: str = "Apache-2.0"
) -> Card:
    """Write NAME.safetensors and NAME.json into the run's folder.

    Args:
        settings: Of the run.
        result: Of the run.
        name: Of the masker.
        command: That made it, for the record.
        licence: Of the weights.

    Returns:
        The card as written: thresholds with the best F1 on the validation chips, temperature and bias fitted there.
    """
    state, facts = load_state(result.best)
    network = build_network(settings.network)
    network.load_state_dict(state)
    found = validate(network, pool_of(settings, "val"), loss=LOSSES[settings.loss], group=Group(), batch_size=8)
    card = _card(settings, facts, found.tally, name=name, licence=licence, command=command)
    return write_weights(settings.out, card, state)


def _card(
    settings: TrainSettings, facts: dict[str, Any], tally: Tally, *, name: str, licence: str, command: str
) -> Card:
    tasks = settings.network.tasks
    calibration = fit_temperature(tally)
    thresholds = move_threshold(best_thresholds(tally), calibration)
    return Card(
        name=name,
        description=f"{settings.network.encoder}, {len(tasks)} masks, trained on {' and '.join(_sources(settings))}",
        family="multitask",
        architecture=settings.network.as_dict(),
        bands=settings.network.bands,
        scaling="reflectance",
        tasks=tasks,
        thresholds={task: float(value) for task, value in zip(tasks, thresholds, strict=True)},
        temperatures={task: float(value) for task, value in zip(tasks, calibration.temperature, strict=True)},
        biases={task: float(value) for task, value in zip(tasks, calibration.bias, strict=True)},
        halo=HALO,
        window=WINDOW,
        licence=licence,
        training={
            "command": command,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "torch": torch.__version__,
            "best_epoch": facts["epoch"],
            **({"began_with": facts["began_with"]} if facts.get("began_with") else {}),
            "settings": {key: value for key, value in settings.lasting().items() if key not in _TOLD_ELSEWHERE},
        },
        data=_data(settings),
        scores={"validation": _validation(tally, tasks)},
    )


def _validation(tally: Tally, tasks: tuple[Mask, ...]) -> dict[str, dict[str, float | None]]:
    """F1, precision, recall and calibration error (before calibration) per mask, all sources pooled.

    None where no chip knows of the mask: JSON has no NaN.
    """
    names = [task.name for task in tasks]
    table = scores(tally, best_thresholds(tally), names)[["f1", "precision", "recall"]].round(4)
    table["calibration_error_before"] = expected_calibration_error(tally).round(4)
    return {
        str(task): {str(name): float(value) if isfinite(value) else None for name, value in row.items()}
        for task, row in table.iterrows()
    }


def _sources(settings: TrainSettings) -> list[str]:
    return sorted({source for folder in settings.chips for source in ChipFolder(folder).index["source"]})


def _data(settings: TrainSettings) -> dict[str, Any]:
    """How the chips were made, and how many of each source and split there are."""
    folders = [ChipFolder(folder) for folder in settings.chips]
    counts: Counter[str] = Counter()
    for folder in folders:
        places = zip(folder.index["source"], folder.index["split"], strict=True)
        counts.update(sorted(f"{source}, {split}" for source, split in places))
    return {"made_by": [folder.facts["made_by"] for folder in folders], "chips": dict(counts)}
