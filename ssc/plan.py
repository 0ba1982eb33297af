"""What a run over granules costs, before any work: granules, bytes, disk and seconds by tile and product.

    plan = plan_run(found, by_reach(found, reaches))
    plan.table, plan.summary()

All of it is arithmetic on what CMR tells and on rates that were measured elsewhere; each rate says where, and can be
replaced by one of the machine at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd

from ssc.bands import Product
from ssc.catalog import Found
from ssc.granules import Granule

FILES: Final = {Product.L30: 15, Product.S30: 18}
"""Files of a granule: ten or thirteen bands, Fmask, four angles (HLS User Guide v2.0)."""
FILES_READ: Final = 7
"""Files an estimate reads: the six shared bands and Fmask."""
TYPICAL_BYTES: Final = {Product.L30: 107_777_000, Product.S30: 200_000_000}
"""For granules whose size CMR does not tell: as those of tile 10TEK in LP DAAC's tutorial (L30 103 MB; S30 187 to 199
MB of 2**20 bytes, May 2021)."""
_COUNTS: Final = ("granules", "rows", "granule_bytes", "read_bytes", "staged_bytes", "store_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What work costs. The defaults are measured where it says so, else assumed."""

    corridor_share: float = 0.12
    """Share of a tile that is read: the windows of 20 simulated reaches (docs/masker.md, `make bench`, 2026-11-21). A
    window is taken to cost its share of the bytes: on loopback one of 512 px of 3660, 2 %, took 0.4 MB of 24.6."""
    granule_s: float = 0.69
    """Seconds per granule on one worker without masking by a network: end to end from local disk with legacy-fmask, 2
    cores (`make bench`, 2026-11-21)."""
    masker_s: float = 0.58
    """Seconds per granule more, for the default network on those windows (docs/masker.md, the same machine)."""
    bytes_per_s: float = 27e6
    """Of reading windows over the network, all workers together: 14.4 MB in 0.53 s, 16 threads, loopback with 30 ms
    latency. Not measured against Earthdata, which may be slower."""
    row_bytes: float = 700.0
    """Of a row in the results: 86 columns of 8 bytes and a little; assumed, since compression makes it less."""
    workers: int = 1
    """Granules in work at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """The cost of a run."""

    table: pd.DataFrame
    """One row per tile and product, ordered: granules, rows (granule and reach pairs, the most there can be),
    granule_bytes (all files whole), read_bytes (windows of the files that are read), staged_bytes (disk, if those files
    are kept whole on it), store_bytes (disk for the results), seconds (work by the workers and reading, one after the
    other)."""
    rates: Rates
    span: tuple[str, str] | None
    """First and last acquisition, ISO; None without granules."""
    unsized: int
    """Granules whose size CMR does not tell; a typical one is assumed."""

    def summary(self) -> dict[str, object]:
        """Totals, and the rates they come from; plain values, fit for JSON."""
        return {
            **{name: int(self.table[name].sum()) for name in _COUNTS},
            "seconds": round(float(self.table["seconds"].sum()), 1),
            "tiles": int(self.table["tile"].nunique()),
            "first": self.span[0] if self.span else None,
            "last": self.span[1] if self.span else None,
            "granules_of_unknown_size": self.unsized,
            "rates": asdict(self.rates),
        }


def plan_run(
    found: Sequence[Found], reaches_of: Mapping[Granule, Collection[int]] | None = None, rates: Rates | None = None
) -> Plan:
    """What a run over these granules costs.

    Args:
        found: Granules of the catalogue.
        reaches_of: Which reaches each may see, as `ssc.catalog.by_reach` tells; granules that are not in it see none
            and are left out. None: all granules count, and rows are not known (0).
        rates: What work costs.
    """
    rates = rates or Rates()
    wanted = found if reaches_of is None else [each for each in found if each.granule in reaches_of]
    rows = [_row(each, len((reaches_of or {}).get(each.granule, ())), rates) for each in wanted]
    table = pd.DataFrame(rows, columns=["tile", "product", *_COUNTS, "seconds"])
    table = table.groupby(["tile", "product"], as_index=False).sum()
    times = sorted(each.granule.acquired for each in wanted)
    return Plan(
        table=table.astype(dict.fromkeys(_COUNTS, "int64") | {"seconds": "float64"}),
        rates=rates,
        span=(times[0].isoformat(), times[-1].isoformat()) if times else None,
        unsized=sum(each.size == 0 for each in wanted),
    )


def _row(found: Found, reaches: int, rates: Rates) -> dict[str, object]:
    """One granule as a row of the table. Files of a granule are taken to weigh alike; angles weigh less in truth."""
    product = found.granule.product
    size = found.size or TYPICAL_BYTES[product]
    staged = size * FILES_READ / FILES[product]
    read = staged * rates.corridor_share
    return {
        "tile": found.granule.tile,
        "product": str(product),
        "granules": 1,
        "rows": reaches,
        "granule_bytes": size,
        "read_bytes": round(read),
        "staged_bytes": round(staged),
        "store_bytes": round(reaches * rates.row_bytes),
        "seconds": (rates.granule_s + rates.masker_s) / rates.workers + read / rates.bytes_per_s,
    }
