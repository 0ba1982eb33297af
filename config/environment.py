"""Environment that Prefect reads when it is first imported: quiet, offline, patient."""

from __future__ import annotations

import os

_PREFECT = {
    "DO_NOT_TRACK": "1",  # client telemetry
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # server telemetry; offline it also costs start-up lock errors
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s by default, too short on a busy machine
    "PREFECT_LOGGING_LEVEL": "WARNING",  # our own table and progress tell the rest
}


def calm_prefect() -> None:
    """Set what is not set already. Call before the first `import prefect`."""
    for name, value in _PREFECT.items():
        os.environ.setdefault(name, value)


def names_prefect_server() -> bool:
    """Whether the environment names a Prefect server; without one Prefect starts its own for the time of a run."""
    return bool(os.environ.get("PREFECT_API_URL"))
