"""Regressors: from the reflectance of a reach to suspended sediment concentration."""

from __future__ import annotations

from ssc.errors import InputError
from ssc.regression.base import Regressor
from ssc.regression.physical import NechadRed, Physical

__all__ = ["NAMES", "Regressor", "load"]

_REGRESSORS: dict[str, type[Physical | NechadRed]] = {regressor.name: regressor for regressor in (Physical, NechadRed)}
NAMES = tuple(_REGRESSORS)
"""Names that `load` knows, the default first."""


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
