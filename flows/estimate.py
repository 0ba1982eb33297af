"""The main flow: granules in, suspended sediment per river reach in the store.

    from flows.estimate import estimate
    estimate(granules=["granules/"], reaches="sword.gpkg", store="out/store", settings={"masker": "legacy-dswx"})

Runs without a server (Prefect starts a temporary one) and with one (PREFECT_API_URL). More granules at a time:
`estimate.with_options(task_runner=runner(8))`. The same run without Prefect is `tasks.run.run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.environment import calm_prefect

calm_prefect()

from prefect import flow  # noqa: E402  the environment above is read at import
from prefect.artifacts import create_table_artifact  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from flows.progress import show_progress  # noqa: E402
from flows.request import build_request  # noqa: E402
from tasks.prefect_spread import over_prefect  # noqa: E402
from tasks.run import Summary, run  # noqa: E402


def runner(workers: int) -> ThreadPoolTaskRunner:
    """Runs so many granules at a time in threads of the flow's process."""
    return ThreadPoolTaskRunner(max_workers=workers)


@flow(name="estimate", persist_result=False, task_runner=runner(2))
def estimate(
    granules: list[str],
    reaches: str,
    store: str,
    *,
    nodes: str | None = None,
    ids: list[int] | None = None,
    bbox: list[float] | None = None,
    basin: str | None = None,
    polygon: str | None = None,
    overlay: str | None = None,
    settings: dict[str, Any] | None = None,
    quicklooks: str | None = None,
    redo: bool = False,
) -> Summary:
    """Estimate SSC of every selected reach on every granule, and store it.

    Args:
        granules: Folders, files, or https:// and s3:// granule locations.
        reaches: SWORD or any other reach file.
        store: Folder or object-store URL of the results.
        nodes: Second file with the nodes, if they are not in `reaches`.
        ids: Only these reaches.
        bbox: Only reaches that touch west, south, east, north (degrees).
        basin: Only reaches whose id starts with these digits.
        polygon: File; only reaches that touch its polygons.
        overlay: Settings file over the defaults.
        settings: Settings given by name, over the overlay.
        quicklooks: Folder for one picture per granule.
        redo: Do again what is done.

    Returns:
        What became of the granules.
    """
    request = build_request(
        granules=granules,
        reaches=reaches,
        store=store,
        nodes=nodes,
        ids=ids,
        bbox=bbox,
        basin=basin,
        polygon=polygon,
        overlay=Path(overlay) if overlay else None,
        settings=settings or {},
        quicklooks=quicklooks,
        redo=redo,
    )
    with show_progress() as progress:
        summary = run(request, over_prefect, progress)
    create_table_artifact(
        key="estimate-summary", table=_table(summary), description=f"What became of the granules: {store}"
    )
    return summary


def _table(summary: Summary) -> list[dict[str, Any]]:
    counts = [{"granules": count, "status": str(status), "reason": ""} for status, count in summary.statuses.items()]
    return counts + [
        {"granules": name, "status": "set_aside", "reason": why} for name, why in summary.set_aside.items()
    ]
