"""Figures others have published, to print beside ours. F1 in percent; nothing here was reproduced."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Final

import pandas as pd

SLIDES: Final = (
    "Daroya et al., talk of 20 January 2025, slide 22, table of arXiv 2412.08545 v1 "
    "(Improving Satellite Imagery Masking using Multi-task and Transfer Learning)"
)
WATER_SLIDES: Final = SLIDES.replace("slide 22", "slide 23")
HUANG: Final = "Huang et al. 2025, Science of Remote Sensing 11, 100213: 846 patches of HLS S30 surface reflectance"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudScore:
    """One row of a table of cloud masks."""

    method: str
    pretraining: str
    cloud: float
    """F1, percent."""
    cloud_shadow: float
    clear: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterScore:
    """One row of a table of water masks; percent."""

    method: str
    pretraining: str
    f1: float
    precision: float
    recall: float
    iou: float
    """Of the water class."""
    source: str


def _clouds(source: str, *rows: tuple[str, str, float, float, float]) -> tuple[CloudScore, ...]:
    return tuple(
        CloudScore(method=method, pretraining=weights, cloud=cloud, cloud_shadow=shadow, clear=clear, source=source)
        for method, weights, cloud, shadow, clear in rows
    )


def _waters(source: str, *rows: tuple[str, str, float, float, float, float]) -> tuple[WaterScore, ...]:
    return tuple(
        WaterScore(
            method=method, pretraining=weights, f1=f1, precision=precision, recall=recall, iou=iou, source=source
        )
        for method, weights, f1, precision, recall, iou in rows
    )


LANA: Final = _clouds(
    SLIDES,
    ("LANA (Zhang 2024)", "", 92.42, 57.53, 89.02),
    ("Fmask (Qiu 2019)", "", 89.81, 45.42, 88.09),
    ("U-Net (Wieland 2019)", "", 87.68, 52.06, 86.19),
    ("DeepLabv3+", "ImageNet", 92.64, 65.79, 95.54),
    ("MobileNetv3", "ImageNet", 93.70, 63.60, 95.77),
    ("SegNet", "ImageNet", 91.19, 57.64, 95.19),
    ("ResNet50", "Satlas", 85.78, 63.67, 92.77),
    ("Swin-T", "Satlas", 92.96, 69.56, 95.80),
    ("Swin-T", "ImageNet", 82.73, 4.32, 92.49),
    ("ViT-B/16", "ImageNet", 59.89, 0.01, 88.16),
    ("ViT-B/16", "Prithvi", 81.38, 6.94, 91.52),
)
"""Split, bands and training on LANA are not published; the first three rows look quoted from Zhang et al. 2024, so
their class mix may be another than that of the rest."""

CLOUDSEN12: Final = _clouds(
    HUANG,
    ("HLS Fmask", "", 83.2, 54.6, 87.3),
    ("Swin-Unet", "", 89.1, 71.0, 92.3),
)
"""On HLS S30 of the same patches, not on the TOA patches read here: near, not like for like."""

WATER: Final = _waters(
    WATER_SLIDES,
    ("MNDWI", "", 58.43, 78.92, 46.39, 41.28),
    ("DeepWaterMap", "", 82.21, 78.54, 86.24, 69.79),
    ("DeepLabv3+", "ImageNet", 89.67, 87.91, 91.50, 81.27),
    ("MobileNetv3", "ImageNet", 88.18, 85.16, 91.42, 78.86),
    ("SegNet", "ImageNet", 83.47, 82.94, 84.01, 71.63),
    ("ResNet50", "Satlas", 81.33, 78.76, 84.08, 68.54),
    ("Swin-T", "Satlas", 91.10, 90.62, 91.58, 83.65),
    ("Swin-T", "ImageNet", 80.73, 77.88, 83.80, 67.69),
    ("ViT-B/16", "ImageNet", 82.56, 81.15, 84.03, 70.30),
    ("ViT-B/16", "Prithvi", 76.61, 74.60, 78.74, 62.09),
)
"""On the paper's own test set of OPERA DSWx labels, which is not public: agreement with DSWx, not truth."""

_BY_BENCHMARK: Final = {"lana": LANA, "cloudsen12": CLOUDSEN12}


def cloud_scores(benchmark: str) -> pd.DataFrame:
    """Published F1 on a benchmark, percent: method, pretraining, cloud, cloud_shadow, clear, source; may be empty."""
    return _frame(_BY_BENCHMARK.get(benchmark, ()), CloudScore)


def water_scores() -> pd.DataFrame:
    """Published water scores on the paper's test set, percent."""
    return _frame(WATER, WaterScore)


def _frame(rows: tuple[CloudScore, ...] | tuple[WaterScore, ...], kind: type[CloudScore | WaterScore]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(kind)])
