"""From names on a command line or in a deployment to a checked request; settings end here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.settings import Settings, load
from ssc.errors import InputError
from tasks.job import Job, Selection
from tasks.run import Request


def build_request(
    *,
    granules: Sequence[str],
    reaches: str,
    store: str,
    nodes: str | None = None,
    ids: Sequence[int] | None = None,
    bbox: Sequence[float] | None = None,
    basin: str | None = None,
    polygon: str | None = None,
    overlay: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    quicklooks: str | None = None,
    redo: bool = False,
) -> Request:
    """A request with its settings resolved.

    Raises:
        InputError: A setting, or the bounding box, is not what it should be.
    """
    resolved = load(overlay, **(settings or {}))
    selection = Selection(
        path=reaches, nodes=nodes, ids=tuple(ids) if ids else None, bbox=_four(bbox), basin=basin, polygon=polygon
    )
    job = Job(
        reaches=selection,
        masker=resolved.masker,
        regressor=resolved.regressor,
        dem=resolved.dem,
        corridor=resolved.corridor,
        clear=resolved.clear,
        threads=resolved.threads,
        cache=_cache(resolved, store),
        quicklooks=quicklooks,
    )
    return Request(
        paths=tuple(granules),
        job=job,
        store=store,
        workers=resolved.workers,
        commit_every=resolved.commit_every,
        redo=redo,
    )


def _four(bbox: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    if not bbox:
        return None
    if len(bbox) != 4:
        raise InputError(f"not a bounding box: found {len(bbox)} numbers, wanted west south east north in degrees")
    west, south, east, north = bbox
    return west, south, east, north


def _cache(settings: Settings, store: str) -> str | None:
    if settings.cache is not None or "://" in store:
        return settings.cache
    return str(Path(store) / "cache")
