"""A card as people read it, in Markdown, from its plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from models.cardfields import LEAST_BANDS, takes_any_bands

TABLES = ("architecture", "polarity", "training", "data", "scores")


def markdown(card: Mapping[str, Any]) -> str:
    """Title, what it is, thresholds, then every table with something in it.

    Args:
        card: As `Card.as_dict` gives it.
    """
    return "\n\n".join(_paragraphs(card)) + "\n"


def _paragraphs(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {card['name']}"
    yield card["description"]
    yield f"Family {card['family']}. Input: {_bands(card)}, scaling {card['scaling']}."
    yield f"Window {card['window']} px, halo {card['halo']} px."
    yield _thresholds(card)
    for title in TABLES:
        if card[title]:
            yield _section(title, [f"{name}: {_said(value)}" for name, value in card[title].items()])
    if card["limits"]:
        yield _section("limits", card["limits"])
    yield f"## Licence\n\n{card['licence']}"
    yield f"Weights: `{card['name']}.safetensors`, sha256 `{card['sha256'] or 'not written yet'}`"


def _bands(card: Mapping[str, Any]) -> str:
    names = " ".join(card["bands"])
    return f"any {LEAST_BANDS} or more of {names}" if takes_any_bands(card["architecture"]) else names


def _thresholds(card: Mapping[str, Any]) -> str:
    columns = [card[name] for name in ("thresholds", "temperatures", "biases")]
    rows = [[task, *(f"{column[task]:.4g}" for column in columns)] for task in card["tasks"]]
    table = [["mask", "there above", "temperature", "bias"], ["---"] * 4, *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title.capitalize()}", "", *(f"- {line}" for line in lines)])


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
