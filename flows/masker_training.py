"""What `ssc masker dataset` and `ssc masker train` do: the work of `tasks` and `models`, with progress on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.bars import staged_bar
from models.finish import finish
from models.train import train
from models.trainsettings import TrainSettings
from ssc.errors import InputError
from ssc.masks import Mask
from tasks.chips.build import Recipe, build


def make_dataset(out: Path, recipe: Recipe, *, command: str) -> dict[str, int]:
    """Write a folder of chips; returns chips by source and split."""
    with staged_bar() as tick:
        return build(out, recipe, made_by=command, report=lambda what, done, total: tick(what, done, total, ""))


def train_masker(settings: TrainSettings, *, name: str, command: str) -> dict[str, Any]:
    """Train, then choose thresholds, calibrate, and write weights and card beside the run."""
    with staged_bar() as tick:
        result = train(settings, report=lambda facts: tick(*_told(facts)))
    if not result.leads:  # of several processes one writes the card
        return {}
    card = finish(settings, result, name=name, command=command)
    return {"card": str(Path(settings.out) / f"{card.name}.json"), "log": str(result.log), "scores": card.scores}


def parse_tasks(text: str) -> tuple[Mask, ...]:
    """Masks of "water,cloud" or "all".

    Raises:
        InputError: Another word.

    >>> parse_tasks("cloud,water")
    (<Mask.WATER: 0>, <Mask.CLOUD: 1>)
    """
    if text == "all":
        return tuple(Mask)
    wanted = {word.strip().upper() for word in text.split(",")}
    strange = wanted - {mask.name for mask in Mask}
    if strange:
        known = " ".join(mask.name.lower() for mask in Mask)
        raise InputError(f"--tasks {text}: found {min(strange).lower()!r}, wanted some of {known}, or all")
    return tuple(mask for mask in Mask if mask.name in wanted)


def parse_numbers(pairs: Sequence[str], option: str) -> dict[str, float]:
    """NAME=NUMBER pairs.

    Raises:
        InputError: Something else.

    >>> parse_numbers(["a=2", "b c=0.5"], "--weight")
    {'a': 2.0, 'b c': 0.5}
    """
    found = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"{option} {pair}: wanted NAME=NUMBER")
    return found


def _told(facts: Mapping[str, Any]) -> tuple[str, int, int, str]:
    stage = f"epoch {facts['epoch'] + 1} of {facts['epochs']} {facts['phase']}"
    numbers = {"loss": "loss {:.3f}", "score": "mean F1 {:.3f}", "chips_per_second": "{:.0f} chips/s"}
    more = " ".join(text.format(facts[name]) for name, text in numbers.items() if facts.get(name) is not None)
    return stage, facts["step"], facts["of"], more
