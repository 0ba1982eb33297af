"""Feature set core-v1: what a trained regressor sees of a reach sample, by name, unit and definition.

Every feature is made from columns of `ssc.schema.SAMPLE`. The six medians are required; ratios are the table's own
(medians over pixels) where it has them, else ratios of the medians; the rest is used when a table brings it. What is
left out on purpose: statistics of unmasked windows, cloud cover of the tile, day of the year, width, position and ids.
They tell stations apart, not sediment, and a model that knows them looks better on stations it has seen (notes/ssc.md
3.2 and 3.4). Coastal blue is not used: land correction is worst there.

Sources: Novoa 2017 and Dogliotti 2015 as in `ssc.regression.physical`; ratios as in `ssc.features`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.bands import SIX, Product
from ssc.errors import InputError
from ssc.features import pixel_features
from ssc.regression.physical import FLOOR, dogliotti, novoa
from ssc.schema import GEOMETRY, RATIOS, SAMPLE

Floats = NDArray[np.float64]

FEATURE_SET: Final = "core-v1"
MEDIANS: Final = tuple(f"{band.value}_med" for band in SIX)
"""Columns a table must have."""
BASELINE: Final = "ln_novoa"
"""The feature that is the physical baseline, ln(mg/L)."""
TURBIDITY: Final = "ln_turbidity"
RATIO_NAMES: Final = tuple(column.name for column in RATIOS if column.name != "nir_bank")
COLOUR: Final = (*MEDIANS, *RATIO_NAMES, BASELINE, TURBIDITY)
"""Features of every table: the colour of the water itself; distance from the training data is judged on these."""
BESIDE: Final = (
    *(f"{band.value}_mad" for band in SIX),
    "nir_bank",
    "edge_frac",
    "cloud_adjacent_frac",
    "aerosol_high_frac",
    *(column.name for column in GEOMETRY if column.name.endswith("_zenith")),
)
"""Features used when a table has the column of that name; NaN allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature of the set."""

    name: str
    unit: str
    definition: str
    """What it is made of: part of the hash, so that a change of meaning is a change of schema."""


def _features() -> dict[str, Feature]:
    columns = {column.name: column for column in SAMPLE}
    physical = {
        BASELINE: ("ln(mg L-1)", "ln of suspended matter after Novoa 2017 from red_med and nir_med, at least 0.5 mg/L"),
        TURBIDITY: ("ln(FNU)", "ln of turbidity after Dogliotti 2015 from red_med and nir_med, at least 0.5 FNU"),
    }
    return {
        name: Feature(name=name, unit=physical[name][0], definition=physical[name][1])
        if name in physical
        else Feature(name=name, unit=columns[name].unit, definition=columns[name].meaning)
        for name in (*COLOUR, *BESIDE)
    }


FEATURES: Final = _features()
"""All features by name."""


def schema(names: Sequence[str]) -> list[dict[str, str]]:
    """Name, unit and definition of these features, in their order.

    Raises:
        InputError: No such feature.
    """
    unknown = [name for name in names if name not in FEATURES]
    if unknown:
        raise InputError(f"no feature {' '.join(unknown)} in {FEATURE_SET}: wanted some of {' '.join(FEATURES)}")
    found = [FEATURES[name] for name in names]
    return [{"name": one.name, "unit": one.unit, "definition": one.definition} for one in found]


def schema_hash(names: Sequence[str]) -> str:
    """SHA-256 of the feature set's name and the schema of these features: equal only where all definitions are.

    >>> schema_hash(COLOUR) == schema_hash(COLOUR[::-1])
    False
    """
    text = json.dumps([FEATURE_SET, schema(names)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def available(table: pd.DataFrame) -> tuple[str, ...]:
    """Features that a table can give: all colours, and of the others those with any value."""
    return (*COLOUR, *(name for name in BESIDE if name in table and bool(table[name].notna().any())))


def make_features(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The features of a table.

    Args:
        table: Columns of `ssc.schema.SAMPLE`, the six medians at least; `product` (L30 or S30, default L30).
        names: Which features, in the order wanted.

    Returns:
        (n, len(names)) float64, index of the table; NaN where a value is missing or a ratio undefined.

    Raises:
        InputError: A median or a named feature's column is missing or holds no numbers, or an unknown product.
    """
    lacking = [name for name in (*MEDIANS, *names) if name not in table and name not in COLOUR[len(MEDIANS) :]]
    if lacking:
        found = " ".join(map(str, table.columns)) or "no columns"
        raise InputError(f"features of {FEATURE_SET}: no {' '.join(dict.fromkeys(lacking))}; found {found}")
    made = _made(table)
    values = {name: made[name] if name in made else _numbers(table, name) for name in names}
    return pd.DataFrame(values, index=table.index).replace([np.inf, -np.inf], np.nan)


def _made(table: pd.DataFrame) -> dict[str, Floats]:
    """What is computed: the physical features, and the ratios that the table lacks."""
    medians = np.stack([_numbers(table, name) for name in MEDIANS])
    red, nir = medians[2], medians[3]
    product = table["product"].to_numpy(dtype=str) if "product" in table else Product.L30.value
    ratios = pixel_features(medians.astype(np.float32))
    return {
        **{name: values.astype(np.float64) for name, values in ratios if name not in table},
        BASELINE: np.log(np.maximum(novoa(red, nir, np.broadcast_to(product, red.shape)), FLOOR)),
        TURBIDITY: np.log(np.maximum(dogliotti(red, nir), FLOOR)),
    }


def _numbers(table: pd.DataFrame, name: str) -> Floats:
    try:
        return table[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"column {name}: found {table[name].dtype}, wanted numbers") from None
