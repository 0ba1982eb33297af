"""Where numbers come from: hashes of settings, versions of code, records of runs.

Run records hold what differs from run to run (times, commit, machine's libraries) and lie beside the results table,
so that the table itself is the same, bit for bit, whenever the same work is done again.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ssc.errors import InputError

PACKAGE = "river-ssc"
LIBRARIES = ("deltalake", "geopandas", "numpy", "pandas", "pyarrow", "rasterio", "scikit-learn", "scipy", "torch")
"""Those whose version can change a number."""

_SECRET = re.compile(r"(?i)token|passw|secret|credential|signature|api[-_]?key|access[-_]?key")
_QUERY, _USER = re.compile(r"\?\S*"), re.compile(r"(?<=://)[^/@\s]+@")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """16 hex digits that change when a setting changes, and with nothing else.

    Order of keys does not count, nor the kind of number (30 and 30.0 are one), sequence (list, tuple, array) or path
    (text or Path). Dataclasses count by their fields.

    Raises:
        InputError: A value that has no canonical form, such as an open file.

    >>> settings_hash({"a": 1, "b": (2.0, Path("x"))}) == settings_hash({"b": [2, "x"], "a": 1.0})
    True
    """
    text = json.dumps(canonical(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical(value: Any) -> Any:
    """The value in terms of JSON: equal for equal settings.

    Raises:
        InputError: No canonical form.
    """
    if value is None or (isinstance(value, (str, bool, int, float)) and not isinstance(value, Enum)):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    for kind, rewrite in _FORMS:
        if isinstance(value, kind):
            return rewrite(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: canonical(getattr(value, item.name)) for item in fields(value)}
    raise InputError(f"cannot hash a setting: found {type(value).__name__} {value!r}, wanted numbers, text, paths")


_FORMS: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((Enum,), lambda value: canonical(value.value)),
    ((Mapping,), lambda value: {str(canonical(key)): canonical(item) for key, item in value.items()}),
    ((np.generic, np.ndarray), lambda value: canonical(value.tolist())),
    ((set, frozenset), lambda value: sorted((canonical(item) for item in value), key=json.dumps)),
    ((list, tuple), lambda value: [canonical(item) for item in value]),
    ((date,), lambda value: value.isoformat()),
    ((PurePath,), lambda value: value.as_posix()),
)


def code_version() -> str:
    """Version of this package; the same for every commit of it, so that a resumed run goes on.

    >>> code_version().split(".")[0].isdigit()
    True
    """
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "0.unknown"


@lru_cache(maxsize=1)
def code_commit() -> str | None:
    """Commit of the checkout this code runs from, with "+" when files differ from it; None outside a checkout."""
    try:
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changes else commit


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()  # noqa: S603


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Command line arguments fit for a record: no tokens or passwords, no signatures or logins in URLs.

    >>> without_secrets(["--token", "abc", "https://me:pw@host/x?X-Amz-Signature=1", "--start=2021"])
    ['--token', '***', 'https://***@host/x?***', '--start=2021']
    """
    kept: list[str] = []
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if kept and kept[-1].startswith("-") and "=" not in kept[-1] and _SECRET.search(kept[-1]):
            kept.append("***")
        elif equals and "://" not in name and _SECRET.search(name):
            kept.append(f"{name}=***")
        else:
            kept.append(_plain_url(argument) if "://" in argument else argument)
    return kept


def _plain_url(text: str) -> str:
    return _QUERY.sub("?***", _USER.sub("***@", text))


def run_record(
    *,
    arguments: Sequence[str],
    settings: Mapping[str, Any],
    counts: Mapping[str, Any],
    started: datetime,
    finished: datetime | None = None,
) -> dict[str, Any]:
    """What a run was and did, ready for JSON; `Store.write_run` keeps it.

    Args:
        arguments: The command line; secrets are taken out here.
        settings: Everything that can change a number.
        counts: What became of the granules and rows.
        started: Aware UTC.
        finished: Aware UTC, by default now.
    """
    digest = settings_hash(settings)
    return {
        "run": f"{started:%Y%m%dT%H%M%SZ}-{digest[:8]}-{uuid.uuid4().hex[:6]}",
        "arguments": without_secrets(arguments),
        "started": started.isoformat(),
        "finished": (finished or datetime.now(UTC)).isoformat(),
        "settings_hash": digest,
        "settings": canonical(settings),
        "counts": canonical(counts),
        "code_version": code_version(),
        "code_commit": code_commit(),
        "libraries": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Version of each of LIBRARIES that is installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
