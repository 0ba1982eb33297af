"""How much sediment each reach carries on a day: sources upstream, mixing at confluences, mass conserved.

Every river that enters, and the hillslopes along each reach, bring water and two kinds of sediment. Discharge follows
a snow-melt year with random weather; concentration follows discharge by a rating curve C ~ Q^1.2 (exponents of 0.5 to
2 are usual, Syvitski et al. 2000, 10.1029/2000WR900133). Nothing settles on the way: what reaches the outlet is the
sum of what came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.simulate.calendar import wave
from ssc.simulate.centrelines import Points, discharge
from ssc.simulate.seeds import stream

LOWEST, HIGHEST = 3.0, 800.0
"""Range of source concentrations, mg/L; a mixture of sources cannot leave it."""
RATING = 1.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Load:
    """State of all reaches on one day, in the order of `Rivers.reaches`."""

    stage: float
    """Discharge of the day over the mean, whole basin."""
    flow_m3_s: Points
    """(reaches,) discharge at the downstream end."""
    mineral: Points
    """(reaches,) bright sediment, mg/L."""
    organic: Points
    """(reaches,) dark sediment, mg/L."""
    source_flow_m3_s: Points
    """(reaches,) of it, what enters at or along this reach and did not come from a reach above."""
    source_ssc: Points
    """(reaches,) concentration of that water, mg/L."""

    @property
    def ssc(self) -> Points:
        """(reaches,) all sediment, mg/L."""
        return self.mineral + self.organic


def stage(day: date, seed: int, *, southern: bool = False) -> float:
    """Discharge over its mean on a day: high in early summer, low in winter, random over some weeks."""
    season = wave(day, 160, southern=southern) - 0.3
    weeks = day.toordinal() / 21
    whole = int(weeks)
    weather = [float(stream(seed, "weather", whole + i).standard_normal()) for i in (0, 1)]
    mixed = weather[0] + (weeks - whole) * (weather[1] - weather[0])
    return float(np.exp(season + 0.6 * mixed))


def load(reaches: pd.DataFrame, day: date, seed: int, *, southern: bool = False) -> Load:
    """Discharge and concentrations of every reach on a day."""
    level = stage(day, seed, southern=southern)
    downstream = reaches["downstream"].to_numpy()
    own_area = _own_area(reaches["facc"].to_numpy(), downstream)
    today = stream(seed, "sources", day.isoformat())
    local = level * np.exp(0.3 * today.standard_normal(len(reaches)))
    flow = discharge(own_area) * local
    total = _usual(reaches, seed) * local**RATING * np.exp(0.25 * today.standard_normal(len(reaches)))
    total = np.clip(total, LOWEST, HIGHEST)
    share = stream(seed, "kinds").beta(1.2, 1.6, len(reaches))
    river_flow = _gather(flow, downstream)
    return Load(
        stage=level,
        flow_m3_s=river_flow,
        mineral=_gather(flow * total * (1 - share), downstream) / river_flow,
        organic=_gather(flow * total * share, downstream) / river_flow,
        source_flow_m3_s=flow,
        source_ssc=total,
    )


def _usual(reaches: pd.DataFrame, seed: int) -> Points:
    """Concentration of each source at mean flow, mg/L: log-normal, median 55, differing from river to river."""
    return np.asarray(55 * np.exp(stream(seed, "usual").standard_normal(len(reaches))))


def _own_area(facc: Points, downstream: NDArray[np.int64]) -> Points:
    above = np.zeros(len(facc))
    np.add.at(above, downstream[downstream >= 0], facc[downstream >= 0])
    return np.maximum(facc - above, 1.0)


def _gather(source: Points, downstream: NDArray[np.int64]) -> Points:
    """Sum of everything that enters at or above each reach; reaches downstream come first in the table."""
    total = source.copy()
    for row in range(len(total) - 1, 0, -1):
        total[downstream[row]] += total[row]
    return total
