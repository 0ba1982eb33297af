"""Discharge from a file of any kind that we read, told apart by what is in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import netCDF4
import pandas as pd

from ssc.errors import DataError, InputError
from ssc.flux.confluence import read_algorithm, read_consensus, read_sos
from ssc.flux.discharge import Reading
from ssc.flux.gauges import read_gauges


class Kind(StrEnum):
    """What a file of discharge is."""

    SOS = "sos"
    """SoS result file of a continent."""
    CONSENSUS = "consensus"
    """Confluence consensus of one reach, netCDF or CSV."""
    ALGORITHM = "algorithm"
    """One algorithm for one reach; its times are in the SWOT input file."""
    GAUGES = "gauges"
    """CSV of gauges on reaches."""


def read_discharge(
    path: str | Path,
    *,
    kind: Kind | None = None,
    reach_ids: Collection[int] | None = None,
    swot: str | Path | None = None,
    unit: str | None = None,
    gauges: Mapping[str, Any] | None = None,
) -> Reading:
    """Discharge from a file.

    Args:
        path: The file.
        kind: What it is; told from its content by default (`kind_of`).
        reach_ids: Of a SoS file only these, which saves time; other files are read whole.
        swot: SWOT input file of the reach, for an algorithm's file.
        unit: Of discharge, for gauges.
        gauges: Further arguments of `read_gauges`.

    Raises:
        InputError: No such file, or `swot` or `unit` is missing for it.
        DataError: As of the readers, or none of these kinds.
    """
    kind = kind_of(path) if kind is None else kind
    if kind is Kind.SOS:
        return read_sos(path, reach_ids)
    if kind is Kind.CONSENSUS:
        return read_consensus(path)
    if kind is Kind.ALGORITHM:
        if swot is None:
            raise InputError(f"no times in {path}: wanted the SWOT input file of the reach beside it")
        return read_algorithm(path, swot)
    if unit is None:
        raise InputError(f"no unit of discharge for {path}: wanted m3/s or ft3/s")
    return read_gauges(path, unit=unit, **(gauges or {}))


def kind_of(path: str | Path) -> Kind:
    """What a file is, by its groups and variables, or by the header of a CSV.

    Raises:
        InputError: No such file.
        DataError: None of these kinds.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}: wanted discharge")
    if path.suffix.lower() in {".nc", ".nc4"}:
        return _netcdf_kind(path)
    try:
        header = pd.read_csv(path, comment="#", nrows=0, encoding="utf-8-sig").columns
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} as discharge: {error}; wanted a CSV or netCDF (.nc)") from error
    return Kind.CONSENSUS if {"date", "median"} <= {name.strip() for name in header} else Kind.GAUGES


def _netcdf_kind(path: Path) -> Kind:
    try:
        with netCDF4.Dataset(path) as file:
            groups, variables = set(file.groups), set(file.variables)
    except OSError as error:
        raise DataError(f"cannot read {path} as discharge: {error}; wanted netCDF") from error
    if {"reaches", "consensus"} <= groups:
        return Kind.SOS
    if "consensus_q" in variables:
        return Kind.CONSENSUS
    if "q" in groups:
        return Kind.ALGORITHM
    raise DataError(
        f"no discharge in {path}: found groups {' '.join(sorted(groups)) or 'none'} and variables "
        f"{' '.join(sorted(variables)) or 'none'}, wanted groups reaches and consensus, a variable consensus_q, or a "
        "group q"
    )
