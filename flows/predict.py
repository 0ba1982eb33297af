"""`ssc masker predict`: masks of many granules as files; a bad granule is set aside, what is done is passed over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.bars import staged_bar
from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.granules import Granule
from ssc.masks import Masker
from tasks.maskers import open_masker
from tasks.policy import attempt
from tasks.predict import predict_granule, tags_of
from tasks.run import gather_granules


@dataclass(slots=True, kw_only=True)
class Predicted:
    """What became of the granules."""

    written: dict[str, dict[str, str]] = field(default_factory=dict)
    """Paths by asset, by granule."""
    done_before: list[str] = field(default_factory=list)
    """Granules whose masks by this very masker were there already."""
    set_aside: dict[str, str] = field(default_factory=dict)
    """Reasons, by granule."""
    bands_used: dict[str, list[str]] = field(default_factory=dict)
    """Bands that a network's masks come from, by granule written or done before."""

    @property
    def exit_code(self) -> int:
        """0 done, 3 done with granules set aside."""
        return 3 if self.set_aside else 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "exit_code": self.exit_code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to write for each granule."""

    out: Path
    probabilities: bool = False
    quicklook: bool = True
    redo: bool = False
    """Write again what is there already."""

    def is_there(self, granule: Granule, masker: Masker) -> bool:
        """Whether all that is wanted was written by the same masker before."""
        try:
            item = json.loads((self.out / f"{granule.name}.json").read_text())
        except (OSError, ValueError):
            return False
        same = all(item["properties"].get(f"ssc:{key}") == tag for key, tag in tags_of(masker, granule).items())
        assets = {"masks", *(["probabilities"] * self.probabilities), *(["quicklook"] * self.quicklook)}
        return same and all((self.out / item["assets"].get(key, {}).get("href", "?")).exists() for key in assets)


def run_predict(
    paths: Sequence[str],
    wanted: Wanted,
    *,
    masker: str,
    dem: str | None,
    bands: tuple[Band, ...] | None = SIX,
) -> Predicted:
    """Mask granules one after another.

    Args:
        paths: Where granules lie.
        wanted: What to write for each.
        masker: By name or card.
        dem: Where an elevation model lies.
        bands: What to judge by; None: every band of each granule's product that the masker knows.

    Raises:
        InputError: No granule there, no such masker, or not the bands for it.
        AccessError: A service refuses us.
    """
    opened = open_masker(masker, dem, bands=bands)
    granules, strays = gather_granules(paths)
    found = Predicted(set_aside=strays)
    with staged_bar() as tick:
        for number, granule in enumerate(granules):
            tick("granules", number, len(granules), granule.name)
            _predict(granule, opened, wanted, found)
        tick("granules", len(granules), len(granules), "")
    return found


def parse_bands(text: str) -> tuple[Band, ...] | None:
    """Bands of "six", "blue,green,nir" or, as None, "all".

    Raises:
        InputError: Another word.

    >>> parse_bands("nir,red")
    (<Band.RED: 'red'>, <Band.NIR: 'nir'>)
    """
    if text in {"all", "six"}:
        return SIX if text == "six" else None
    asked = {word.strip() for word in text.split(",")}
    if strange := sorted(asked - set(Band)):
        raise InputError(f"--bands {text}: found {strange[0]!r}, wanted six, all, or some of {' '.join(Band)}")
    return tuple(band for band in Band if band in asked)


def show_predicted(found: Predicted, out: Path) -> None:
    """Say what became of the granules."""
    console = Console()
    for name, why in found.set_aside.items():
        console.print(f"set aside {name}: {why}", highlight=False, markup=False, soft_wrap=True)
    counts = f"{len(found.written)} written, {len(found.done_before)} done before, {len(found.set_aside)} set aside"
    console.print(f"{counts}; masks in {out}", highlight=False, markup=False, soft_wrap=True)


def _predict(granule: Granule, masker: Masker, wanted: Wanted, found: Predicted) -> None:
    name = granule.name
    if not wanted.redo and wanted.is_there(granule, masker):
        found.done_before.append(name)
    else:
        paths, why = attempt(
            lambda: predict_granule(
                granule,
                wanted.out,
                masker=masker,
                probabilities=wanted.probabilities,
                quicklook=wanted.quicklook,
            )
        )
        if paths is None:
            found.set_aside[name] = why
            return
        found.written[name] = {key: str(path) for key, path in paths.items()}
    if used := tags_of(masker, granule).get("bands_used"):
        found.bands_used[name] = used.split()
