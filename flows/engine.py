"""Who runs the granules of a request: Prefect, or plain threads. Both do the same work in the same order."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.run import Request, Summary


class Engine(StrEnum):
    """Who runs the granules."""

    PREFECT = "prefect"
    LOCAL = "local"


def run_estimate(parameters: dict[str, Any], engine: Engine) -> Summary:
    """Run `flows.estimate.estimate` with these parameters, or the same without Prefect.

    The request is checked before Prefect starts, so that wrong use costs no time.
    """
    from rich.console import Console

    from config.environment import names_prefect_server
    from flows.request import build_request

    request = build_request(**parameters)
    if engine is Engine.LOCAL:
        return _run_here(request)
    if not names_prefect_server():
        note = "starting a temporary Prefect server, 10 to 30 s (PREFECT_API_URL: yours; --engine local: none)"
        Console(stderr=True).print(note, highlight=False, soft_wrap=True)
    from flows.estimate import estimate, runner

    return estimate.with_options(task_runner=runner(request.workers))(**parameters)


def _run_here(request: Request) -> Summary:
    from flows.progress import show_progress
    from tasks.run import run
    from tasks.spread import over_threads

    with show_progress() as progress:
        return run(request, over_threads, progress)
