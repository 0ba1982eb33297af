"""What happens when a granule fails: the only place that catches exceptions in bulk, and the only one that retries.

TransientError   tried again with growing, jittered pauses; set aside when it stays
other SscError   of one granule: set aside with its reason, the rest goes on
AccessError      stops the run: every further granule would fail the same way
anything else    is a bug and stops the run
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from ssc.errors import AccessError, SscError, TransientError
from tasks.outcome import Outcome

Result = TypeVar("Result")

RETRIES = 3
"""Further tries after the first."""
FIRST_PAUSE_S = 2.0
"""Pause before the first retry; doubles each time, with jitter, so that many workers do not come back together."""
LONGEST_PAUSE_S = 60.0


def is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's `retry_condition_fn`: True for a `TransientError` alone."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


def persist(action: Callable[[], Result], *, first_pause_s: float | None = None) -> Result:
    """Run an action, again when it raises `TransientError`; the last failure passes through."""
    first_pause_s = FIRST_PAUSE_S if first_pause_s is None else first_pause_s
    tries = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_exponential_jitter(multiplier=first_pause_s, max=LONGEST_PAUSE_S),
        stop=stop_after_attempt(RETRIES + 1),
        reraise=True,
    )
    return tries(action)


def settle(granule: str, action: Callable[[], Outcome]) -> Outcome:
    """The outcome of an action; a failure that is this granule's own becomes the outcome "set aside".

    Raises:
        AccessError: The service refuses us, so the run must stop.
        TransientError: Whoever retries decides when to give up, see `give_up`.
    """
    try:
        return action()
    except (AccessError, TransientError):
        raise
    except SscError as error:
        return Outcome.set_aside(granule, reason(error))


def attempt(action: Callable[[], Result]) -> tuple[Result | None, str]:
    """What an action on one granule gives and "", or None and why that granule is set aside; retried like any other.

    Raises:
        AccessError: The service refuses us, so the run must stop.
    """
    try:
        return persist(action), ""
    except AccessError:
        raise
    except SscError as error:
        return None, reason(error)


def give_up(granule: str, error: BaseException) -> Outcome:
    """The outcome of a granule whose retries are used up. Anything but a `TransientError` is raised again."""
    if isinstance(error, TransientError):
        return Outcome.set_aside(granule, f"{reason(error)} (gave up after {RETRIES + 1} tries)")
    raise error


def reason(error: BaseException) -> str:
    """One line that says why, fit for a table."""
    return " ".join(f"{type(error).__name__}: {error}".split())
