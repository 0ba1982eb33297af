"""Discharge of SWOT's Confluence: SoS result files, consensus files of one reach, and single algorithms.

Sources (github SWOT-Confluence): consensus.py (consensus_q and time_str of a reach; algorithms of unequal length are
dropped, so values of one position belong together), output/modules/Consensus.py (ragged consensus_q and time_int by
num_reaches), output/modules/{Momma,Hivdi,Metroman,Sic4dvar}.py (the algorithms' own ragged discharge).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.errors import DataError, InputError
from ssc.flux.discharge import FILL, Floats, Reading, parse_times, read_text, rows_of, sift, since_epoch
from ssc.sword import parse_ids

ALGORITHMS = ("momma/Q", "hivdi/Q", "metroman/allq", "sic4dvar/Q_da")
"""Ragged discharge of single algorithms in a SoS file, as far as their names were seen in the code that writes them."""
LEAST_ALGORITHMS = 2
_ID = re.compile(r"(?<!\d)\d{11}(?!\d)")


def read_sos(path: str | Path, reach_ids: Collection[int] | None = None) -> Reading:
    """Consensus discharge of a SoS result file, one continent.

    ln_q_sd is the spread of the algorithms in the file: the standard deviation of ln Q over those (two at least) that
    have a positive value at that time. It tells how far they disagree, not how far all of them are off.

    Args:
        path: netCDF with reaches/reach_id, consensus/consensus_q and consensus/time_int.
        reach_ids: Only these; one that is not in the file gives no row.

    Raises:
        InputError: No such file.
        DataError: Not a SoS result file, or one without consensus.
    """
    path = Path(path)
    with _opened(path, "SoS results", "reaches/reach_id, consensus/consensus_q, consensus/time_int") as file:
        ids = parse_ids(pd.Series(file["reaches/reach_id"][:], name="reaches/reach_id"), path)
        wanted = None if reach_ids is None else np.flatnonzero(np.isin(ids, list(reach_ids)))
        q, time = (_ragged(file[f"consensus/{name}"], wanted) for name in ("consensus_q", "time_int"))
        every = [_ragged(file[name], wanted) for name in ALGORITHMS if _has(file, name)]
    ids = ids if wanted is None else ids[wanted]
    spreads = [_spread_beside(values.size, beside) for values, *beside in zip(q, *every, strict=True)]
    rows = rows_of(
        np.repeat(ids, [values.size for values in q]),
        since_epoch(_joined(_paired(q, time))),
        _joined(q),
        _sos_source(path),
        ln_q_sd=_joined(spreads),
    )
    return sift(rows, path)


def read_consensus(path: str | Path, reach_id: int | None = None) -> Reading:
    """Consensus discharge of one reach: netCDF (consensus_q, time_str), or the older CSV (date, median).

    Args:
        path: `{reach}_consensus.nc` or `{reach}_consensus.csv`.
        reach_id: Default: the eleven digits in the file's name.

    Raises:
        InputError: No such file, or no reach id in its name and none given.
        DataError: Not a consensus file.
    """
    path = Path(path)
    reach_id = _id_in_name(path) if reach_id is None else reach_id
    if path.suffix == ".csv":
        text = read_text(path, ("date", "median"))
        time, q = text["date"], pd.to_numeric(text["median"], errors="coerce").to_numpy(dtype=np.float64)
    else:
        with _opened(path, "a consensus file", "consensus_q, time_str") as file:
            time, q = pd.Series(_texts(file["time_str"])), np.asarray(file["consensus_q"][:], dtype=np.float64)
    if len(time) != len(q):
        raise DataError(f"unequal lengths in {path}: found {len(q)} discharges and {len(time)} times")
    moments, day_only = parse_times(time, path)
    return sift(rows_of(reach_id, moments, q, "confluence_consensus", day_only=day_only.to_numpy()), path)


def read_algorithm(path: str | Path, swot: str | Path) -> Reading:
    """Discharge of one algorithm for one reach (geoBAM's layout: group q, one variable a chain).

    The file has no times: they are reach/time of the SWOT input file, whose passes it has in the same order (time_str
    of that file may be "-999.0" throughout). The value is the median of the chains, missing if one is; how far they
    differ is no measure of error, so ln_q_sd stays NaN.

    Args:
        path: `{reach}_{algorithm}.nc` with attribute reach_id and q/q1, q/q2 ...
        swot: `{reach}_SWOT.nc` of the same reach.

    Raises:
        InputError: No such file, or two files of different reaches.
        DataError: Not such files, or of different length.
    """
    path, swot = Path(path), Path(swot)
    with _opened(path, "an algorithm's discharge", "attribute reach_id, group q") as file:
        reach_id = int(file.getncattr("reach_id"))
        chains = np.array([variable[:] for variable in file["q"].variables.values()], dtype=np.float64)
    with _opened(swot, "a SWOT input file", "reach/reach_id, reach/time") as file:
        theirs, seconds = int(file["reach/reach_id"][...]), np.asarray(file["reach/time"][:])
    if reach_id != theirs:
        raise InputError(f"files of two reaches: found {reach_id} in {path} and {theirs} in {swot}, wanted one reach")
    if chains.ndim != 2 or chains.shape[1] != seconds.size:
        raise DataError(f"unequal lengths: found discharge {chains.shape} in {path}, {seconds.size} times in {swot}")
    chains[chains == FILL] = np.nan
    source = "confluence_" + path.stem.removeprefix(f"{reach_id}_")
    return sift(rows_of(reach_id, since_epoch(seconds), np.median(chains, axis=0), source), path)


def spread(values: Floats) -> Floats:
    """(n,) standard deviation of ln Q over algorithms, from (algorithms, n); NaN where fewer than two are positive.

    >>> spread(np.array([[100.0, 5.0], [200.0, -1.0]])).round(4).tolist()
    [0.4901, nan]
    """
    usable = np.isfinite(values) & (values > 0)
    count = usable.sum(axis=0)
    ln = np.where(usable, np.log(np.where(usable, values, 1.0)), 0.0)
    mean = ln.sum(axis=0) / np.maximum(count, 1)
    square = np.where(usable, (ln - mean) ** 2, 0.0).sum(axis=0)
    return np.where(count >= LEAST_ALGORITHMS, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)


def _ragged(variable: Any, wanted: NDArray[np.intp] | None) -> list[Floats]:
    """Arrays (n,) of all reaches, or of those at the positions wanted; a reach that was not run has one fill value."""
    arrays = variable[:] if wanted is None else [variable[index] for index in wanted.tolist()]
    return [np.atleast_1d(np.asarray(array, dtype=np.float64)) for array in arrays]


def _paired(q: list[Floats], time: list[Floats]) -> list[Floats]:
    """The times, or fill values where there are more or fewer than discharges: which belongs to which is lost."""
    return [
        seconds if seconds.size == values.size else np.full(values.size, FILL)
        for values, seconds in zip(q, time, strict=True)
    ]


def _spread_beside(size: int, algorithms: list[Floats]) -> Floats:
    """(size,) spread of the algorithms that have as many values as the consensus, so the same times."""
    beside = [values for values in algorithms if values.size == size]
    return spread(np.array(beside).reshape(len(beside), size))


def _joined(arrays: list[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *arrays])


def _sos_source(path: Path) -> str:
    """Names of SoS files say *_results_unconstrained_*, where no gauge was used, or *_results_constrained_*."""
    if "unconstrained" in path.name:
        return "sos_consensus_unc"
    return "sos_consensus_con" if "constrained" in path.name else "sos_consensus"


def _id_in_name(path: Path) -> int:
    found = _ID.findall(path.name)
    if len(found) != 1:
        raise InputError(f"no reach id in the name {path.name}: found {found}, wanted eleven digits, or give reach_id")
    return int(found[0])


def _texts(variable: Any) -> NDArray[Any]:
    """(n,) texts of a string variable, or of characters (n, length)."""
    values = variable[:]
    return netCDF4.chartostring(values) if variable.dtype == "S1" else values


def _has(file: netCDF4.Dataset, name: str) -> bool:
    group, variable = name.split("/")
    return group in file.groups and variable in file[group].variables


@contextmanager
def _opened(path: Path, what: str, wanted: str) -> Iterator[netCDF4.Dataset]:
    if not path.is_file():
        raise InputError(f"no file {path}: wanted {what}")
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)  # fill values are counted, in one place: ssc.flux.discharge
            yield file
    except (OSError, IndexError, KeyError, AttributeError) as error:
        raise DataError(f"cannot read {path} as {what}: {error}; wanted {wanted}") from error
