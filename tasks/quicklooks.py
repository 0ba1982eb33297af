"""One picture per granule, beside the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from ssc.clear import ClearWaterRule, usable
from ssc.drafts import drafted
from ssc.masks import Masks
from ssc.observation import Observation
from ssc.reaches import Reaches
from ssc.report.quicklook import quicklook
from ssc.tiles import lines_on


def write_quicklook(
    folder: Path, observation: Observation, masks: Masks, reaches: Reaches, rule: ClearWaterRule
) -> Path:
    """Write `<granule>.jpg`: colour image with reaches, masks, clear water. An interrupted write leaves nothing."""
    clear = usable(observation, masks, rule).clear
    picture = quicklook(observation.reflectance, masks, clear, centrelines(observation, reaches))
    path = folder / f"{observation.granule.name}.jpg"
    with drafted(path) as draft:
        draft.write_bytes(picture)
    return path


def centrelines(observation: Observation, reaches: Reaches) -> list[NDArray[np.float64]]:
    """Centrelines near the window as (n, 2) column, row."""
    grid = observation.geobox
    lines = shapely.get_parts(lines_on(reaches, grid).lines)
    to_pixels = ~grid.affine
    return [np.column_stack(to_pixels * shapely.get_coordinates(line).T) for line in lines]
