"""Water samples as a laboratory would report them: few sites, their own days, noise."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd

from ssc.simulate import sediment
from ssc.simulate.landscape import Landscape
from ssc.simulate.seeds import stream
from ssc.simulate.vectors import nodes

LAB_ERROR = 0.12
"""Standard deviation of ln(sample / truth): filtering, splitting, and the water at hand not being the whole section."""
SITES = 6
EVERY_DAYS = 15


def sample(landscape: Landscape, dates: list[date]) -> pd.DataFrame:
    """Samples at up to six reaches, every two weeks and about the overpasses, within their years.

    Columns: site, reach_id, time (ISO 8601 UTC), ssc_mg_l, longitude, latitude, simulated.
    """
    sites = _sites(landscape)
    regular = [dates[0] + timedelta(days=number) for number in range(0, 365, EVERY_DAYS)]
    tables = [_visit(landscape, sites, day) for day in sorted({*regular, *dates})]
    return pd.concat(tables, ignore_index=True)


def _sites(landscape: Landscape) -> pd.DataFrame:
    """Middle nodes of the reaches that lie on the tile, the widest and others in turn."""
    points = nodes(landscape)
    inside = np.unique(landscape.rivers.course.reach[landscape.channel.point])
    on_tile = landscape.rivers.reaches.iloc[inside].sort_values("width", ascending=False)
    chosen = on_tile.iloc[np.unique(np.linspace(0, len(on_tile) - 1, SITES).round().astype(int))]["reach_id"]
    by = points[points["reach_id"].isin(chosen)].groupby("reach_id")
    middle = points.loc[[rows[len(rows) // 2] for rows in by.groups.values()], ["reach_id", "x", "y"]]
    return pd.DataFrame(middle).rename(columns={"x": "longitude", "y": "latitude"}).reset_index(drop=True)


def _visit(landscape: Landscape, sites: pd.DataFrame, day: date) -> pd.DataFrame:
    rng = stream(landscape.seed, "lab", day.isoformat())
    carried = sediment.load(landscape.rivers.reaches, day, landscape.seed, southern=landscape.southern).ssc
    rows = landscape.rivers.reaches["reach_id"].searchsorted(sites["reach_id"])
    noise = np.exp(LAB_ERROR * rng.standard_normal(len(sites)))
    noon = datetime.combine(day, time(17), UTC)
    hours = rng.uniform(-4, 4, len(sites))
    return pd.DataFrame(
        {
            "site": [f"SIM-{str(reach_id)[-5:]}" for reach_id in sites["reach_id"]],
            "reach_id": sites["reach_id"],
            "time": [f"{noon + timedelta(hours=float(h)):%Y-%m-%dT%H:%M:%SZ}" for h in hours],
            "ssc_mg_l": np.round(carried[rows] * noise, 1),
            "longitude": sites["longitude"].astype(float).round(5),
            "latitude": sites["latitude"].astype(float).round(5),
            "simulated": True,
        }
    )
