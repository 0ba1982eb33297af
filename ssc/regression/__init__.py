"""Regressors: from the reflectance of a reach to suspended sediment concentration.

load("physical")                     a formula, nothing trained
load("out/mekong.json")              a trained estimator, by its card; those of `artefacts` by name
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ssc.errors import InputError
from ssc.regression.base import Regressor
from ssc.regression.card import read_card, shipped_names, shipped_path
from ssc.regression.physical import NechadRed, Physical

__all__ = ["NAMES", "Regressor", "SSCRegressor", "identity", "load"]

_REGRESSORS: dict[str, type[Physical | NechadRed]] = {regressor.name: regressor for regressor in (Physical, NechadRed)}
_FORMULAS: Final = {
    "physical": "red band for clear, near infrared for turbid water (Novoa 2017, Nechad 2010); needs no training",
    "nechad-red": "red band alone (Nechad 2010): blind beyond 69 mg/L, but free of the banks' near infrared",
}


class _Names(Mapping[str, str]):
    """Formulas and shipped estimators; looks into the folder when asked, and into a card for its description alone."""

    def __getitem__(self, name: str) -> str:
        if name not in _FORMULAS and name not in shipped_names():
            raise KeyError(name)
        return _FORMULAS[name] if name in _FORMULAS else read_card(shipped_path(name)).description

    def __iter__(self) -> Iterator[str]:
        yield from _FORMULAS
        yield from (name for name in shipped_names() if name not in _FORMULAS)

    def __len__(self) -> int:
        return len(list(iter(self)))


NAMES: Final[Mapping[str, str]] = _Names()
"""Names that `load` knows, the default first, and what they are."""


def load(name: str | Path) -> Regressor:
    """The regressor of that name, or of the card at that path.

    Args:
        name: One of `NAMES`, or a path to a card that ends in .json.

    Raises:
        InputError: No regressor of that name, no such card.
        DataError: A card or file that is refused; see `ssc.regression.artefact.load_estimator`.

    >>> load("physical").name
    'physical'
    """
    if str(name) in _REGRESSORS:
        return _REGRESSORS[str(name)]()
    card_path = _card_path(name)
    # scikit-learn takes a second to import, and formulas do without it
    from ssc.regression.artefact import load_estimator  # noqa: PLC0415
    from ssc.regression.fitted import Fitted  # noqa: PLC0415

    return Fitted(*load_estimator(card_path))


def identity(name: str | Path) -> str:
    """What tells a regressor from another of the same name or path: for a hash over all that can change the numbers.

    Raises:
        InputError: No regressor of that name, no such card.
        DataError: A damaged card.

    >>> identity("physical")
    'physical'
    """
    if str(name) in _REGRESSORS:
        return str(name)
    card = read_card(_card_path(name))
    return f"{card.name} {card.sha256}"


def _card_path(name: str | Path) -> Path:
    if str(name).endswith(".json"):
        return Path(name)
    if str(name) in shipped_names():
        return shipped_path(str(name))
    raise InputError(
        f"no regressor {str(name)!r}: wanted one of {' '.join(NAMES)}, or a path to a card ending in .json"
    )


def __getattr__(name: str) -> Any:
    if name != "SSCRegressor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ssc.regression.estimator import SSCRegressor  # noqa: PLC0415, as in load

    return SSCRegressor
