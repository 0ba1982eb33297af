"""Regressors: from the reflectance of a reach to suspended sediment concentration."""

from __future__ import annotations

from ssc.errors import InputError
from ssc.regression.base import Regressor
from ssc.regression.physical import NechadRed, Physical

__all__ = ["NAMES", "Regressor", "load"]

_REGRESSORS: dict[str, type[Physical | NechadRed]] = {regressor.name: regressor for regressor in (Physical, NechadRed)}
NAMES = {
    "physical": "red band for clear, near infrared for turbid water (Novoa 2017, Nechad 2010); needs no training",
    "nechad-red": "red band alone (Nechad 2010): blind beyond 69 mg/L, but free of the banks' near infrared",
}
"""Names that `load` knows, the default first, and what they are."""


def load(name: str) -> Regressor:
    """The regressor of that name.

    Raises:
        InputError: No regressor of that name.

    >>> load("physical").name
    'physical'
    """
    try:
        return _REGRESSORS[name]()
    except KeyError:
        raise InputError(f"no regressor {name!r}: wanted one of {' '.join(NAMES)}") from None
