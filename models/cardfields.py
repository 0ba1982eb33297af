"""What each field of a card may hold.

Each function takes a value as Python or JSON has it and gives it in its one settled form, or raises `ValueError` saying
what was found and what was wanted; the card adds which field of which card.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, Final

import numpy as np

from ssc.bands import Band
from ssc.masks import Mask

LEAST_BANDS: Final = 3
"""Bands of an image with fewer of which no network is asked that would take any."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def text(value: Any) -> str:
    """Any text, not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"found {short(value)}, wanted text")
    return value


def file_name(value: Any) -> str:
    """A name two files can carry."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(
            f"found {short(value)}, wanted up to 100 letters, digits, '.', '_', '-', no path and no ending"
        )
    return value


def sha256(value: Any) -> str:
    """64 hex digits, or nothing before there is a file."""
    if not isinstance(value, str) or (value and not _SHA256.fullmatch(value)):
        raise ValueError(f"found {short(value)}, wanted 64 hex digits")
    return value


def whole(value: Any) -> int:
    """A whole number, 0 or more; True is none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"found {short(value)}, wanted a whole number, 0 or more")
    return int(value)


def bands(value: Any) -> tuple[Band, ...]:
    """Bands, each once."""
    if not isinstance(value, (list, tuple)) or not value or len(set(map(repr, value))) < len(value):
        raise ValueError(f"found {short(value)}, wanted a list of bands, each once")
    known = [band.value for band in Band]
    for band in value:
        if band not in known:
            raise ValueError(f"found {short(band)}, wanted some of {' '.join(known)}")
    return tuple(Band(band) for band in value)


def masks(value: Any) -> tuple[Mask, ...]:
    """Masks, each once."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"found {short(value)}, wanted a list of masks")
    found = tuple(_mask(item) for item in value)
    if len(set(found)) < len(found):
        raise ValueError(f"found {short(value)}, wanted each mask once")
    return found


def shares(value: Any) -> dict[Mask, float]:
    """A number from 0 to 1 for each of some masks."""
    return _numbers(value, "a number from 0 to 1", lambda number: 0 <= number <= 1)


def positives(value: Any) -> dict[Mask, float]:
    """A number above 0 for each of some masks."""
    return _numbers(value, "a number above 0", lambda number: 0 < number < math.inf)


def finites(value: Any) -> dict[Mask, float]:
    """A number for each of some masks."""
    return _numbers(value, "a number", math.isfinite)


def table(value: Any) -> dict[str, Any]:
    """Anything JSON can hold, by name. Arrays' numbers, tuples and paths become what JSON has for them."""
    if not isinstance(value, Mapping):
        raise ValueError(f"found {short(value)}, wanted a table")  # noqa: TRY004 - one kind of error for the card
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False, default=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"found {short(value)}, wanted what JSON can hold: {error}") from error
    return found


def texts(value: Any) -> list[str]:
    """A list of texts, perhaps empty."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"found {short(value)}, wanted a list of texts")  # noqa: TRY004
    return [text(item) for item in value]


def text_table(value: Any) -> dict[str, str]:
    """A text by name."""
    return {name: text(item) for name, item in table(value).items()}


def takes_any_bands(architecture: Mapping[str, Any]) -> bool:
    """Whether a network is told what its bands see, so that it takes any of those on its card."""
    return architecture.get("stem", "fixed") != "fixed"


def short(value: Any) -> str:
    """A value as a message can carry it."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _mask(value: Any) -> Mask:
    if isinstance(value, Mask):
        return value
    if not isinstance(value, str) or value not in Mask.__members__:
        raise ValueError(f"found {short(value)}, wanted some of {' '.join(Mask.__members__)}")
    return Mask[value]


def _numbers(value: Any, wanted: str, fits: Any) -> dict[Mask, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"found {short(value)}, wanted {wanted} for each mask")  # noqa: TRY004
    found = {_mask(name): _number(number, wanted) for name, number in value.items()}
    for mask, number in found.items():
        if not fits(number):
            raise ValueError(f"{mask.name}: found {number}, wanted {wanted}")
    return found


def _number(value: Any, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"found {short(value)}, wanted {wanted}")  # noqa: TRY004
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"found {short(value)}, wanted {wanted}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, PathLike):
        return fspath(value)
    raise TypeError(f"{type(value).__name__} is none of its kinds")
