"""From what a granule shows of its reaches to rows of the results table: estimate, flags, identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ssc.clear import ClearWaterRule
from ssc.corridor import Corridor
from ssc.flags import sample_flags, summary, withhold
from ssc.observation import Reader
from ssc.reaches import Reaches
from ssc.regression import Regressor
from ssc.schema import COLUMNS, basin_of


def compose_rows(
    samples: pd.DataFrame,
    readers: Sequence[Reader],
    corridor: Corridor,
    reaches: Reaches,
    regressor: Regressor,
    *,
    masker: str,
    rule: ClearWaterRule,
) -> pd.DataFrame:
    """One results row per reach of a granule, all of `ssc.schema.COLUMNS` but the last two (code, settings).

    Args:
        samples: `ssc.aggregate.reach_samples`, indexed by reach_id.
        readers: The open granule that names the rows, and those that lent pixels; only names and facts are used.
        corridor: What the samples were gathered on.
        reaches: The reaches, for width, lake flag and type.
        regressor: Turns samples into SSC.
        masker: Name of the masker that made the samples.
        rule: What the samples were made with; its counts decide some flags.
    """
    about = reaches.table.loc[samples.index]
    flags = sample_flags(samples, about, rule)
    estimates = regressor.predict(samples.assign(product=readers[0].granule.product.value))
    bits = flags | estimates["ssc_qual"]
    estimates = withhold(estimates.assign(ssc_qual=bits), bits)
    rows = samples.join(estimates).assign(
        ssc_quality=summary(bits), regressor=regressor.name, masker=masker, sword_version=reaches.version
    )
    return _identify(rows, readers, corridor)


def _identify(rows: pd.DataFrame, readers: Sequence[Reader], corridor: Corridor) -> pd.DataFrame:
    granule, facts = readers[0].granule, readers[0].facts
    share = pd.Series(corridor.reach_share, index=corridor.reach_ids)
    rows = rows.rename_axis("reach_id").reset_index()
    rows = rows.assign(
        acquisition=pd.Timestamp(granule.acquired),
        time=pd.Timestamp(facts.sensed),
        year=granule.acquired.year,
        basin=basin_of(rows["reach_id"].to_numpy()),
        platform=facts.platform,
        product=granule.product.value,
        granule_ids=_repeated([reader.granule.name for reader in readers], rows),
        tile_ids=_repeated([reader.granule.tile for reader in readers], rows),
        reach_share=share.loc[rows["reach_id"]].to_numpy(),
    )
    return rows[[column.name for column in COLUMNS if column.name in rows]]


def _repeated(names: list[str], rows: pd.DataFrame) -> pd.Series[Any]:
    return pd.Series([names] * len(rows), index=rows.index, dtype=object)
