"""Match-ups of the Pantanal (Landsat 5/7, 20 stations) as a match-up table; for evaluation only.

The file holds one row per sample: surface reflectance x 10000 of bands 1 (blue) to 5 (SWIR1) and 7 (SWIR2), log10 SSC
in mg/L, and `pred_cl`, log10 of what the published clustered calibration says, which was fitted on these very
stations. Its licence is unknown: nothing made from it may be shipped. Band 6 is thermal and left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ssc.errors import DataError

BANDS: Final = {"B1": "blue", "B2": "green", "B3": "red", "B4": "nir", "B5": "swir1", "B7": "swir2"}
SCALE: Final = 1e-4
PLATFORMS: Final = {"Landsat 5": "L5", "Landsat 7": "L7"}
PUBLISHED: Final = "published_mg_l"
"""Column of the published predictions, mg/L."""
DATE_ONLY_H: Final = 12.0
"""Both dates are without a time, so noon stands for both: the sample is up to half a day off, Landsat passes at about
13:40 UTC."""
HALVED_AFTER: Final = 3.0
"""ASSUMED days between sample and scene after which a row counts half in training; they are up to 8 days apart."""
WANTED: Final = (
    *("site_no", "sample_date", "sensor", "Latitude", "Longitude", "num_pix", "landsat_dt"),
    *("cloud_cover", "lag_days", "log10_SSC_mgL", "pred_cl", *BANDS),
)


def read_pantanal(path: Path) -> pd.DataFrame:
    """The rows of `matchups.csv`, with the columns of a match-up table.

    `dt_h` is acquisition minus sample. The file's `lag_days` is the opposite, sample minus acquisition (a sample of
    31 July with a scene of 2 August has lag -2), so dt_h = -24 lag_days: above 0 the satellite came later.

    Landsat 5 and 7 are no HLS products; `product` is L30, whose OLI bands are the nearest to theirs.

    Raises:
        DataError: Not that file: a column is missing, or lags disagree with the dates.
    """
    table = pd.read_csv(path)
    missing = [name for name in WANTED if name not in table]
    if missing:
        raise DataError(f"{path}: not the Pantanal match-ups, columns {' '.join(missing)} are missing")
    sampled = _noon(table["sample_date"], "%d/%m/%Y")
    acquired = _noon(table["landsat_dt"], "%Y-%m-%d")
    dt_h = (acquired - sampled).dt.total_seconds() / 3600
    if not np.array_equal(dt_h, -24.0 * table["lag_days"]):
        raise DataError(f"{path}: found lag_days that is not sample_date minus landsat_dt")
    site, platform = table["site_no"].astype(str), table["sensor"].map(PLATFORMS)
    columns = {
        "site": site,
        "sample_id": site + "_" + sampled.dt.strftime("%Y%m%d"),
        "sample_time": sampled,
        "ssc_mg_l": 10.0 ** table["log10_SSC_mgL"],
        "censored": False,
        "label_source": "ssc",
        "weight": 1 / (1 + table["lag_days"].abs() / HALVED_AFTER),
        "basin": "Pantanal",
        "reach_id": -1,
        "longitude": table["Longitude"],
        "latitude": table["Latitude"],
        "acquisition": acquired,
        "dt_h": dt_h,
        "dt_uncertain_h": DATE_ONLY_H,
        "platform": platform,
        "product": "L30",
        "granule_id": platform + "_" + acquired.dt.strftime("%Y%m%d"),
        "n_px_used": table["num_pix"],
        "tile_cloud_cover": table["cloud_cover"].astype(float),
        **{f"{band}_med": table[code] * SCALE for code, band in BANDS.items()},
        PUBLISHED: 10.0 ** table["pred_cl"],
    }
    return pd.DataFrame(columns)


def _noon(dates: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(dates, format=form, utc=True) + pd.Timedelta(hours=12)
