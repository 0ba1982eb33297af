"""Small things that commands print."""

from __future__ import annotations

import json
from collections.abc import Mapping


def show_names(names: Mapping[str, str], *, as_json: bool) -> None:
    """Names with their meaning, a line each or as JSON."""
    if as_json:
        print(json.dumps(dict(names), indent=2))
        return
    width = max(map(len, names), default=0)
    for name, meaning in names.items():
        print(f"{name:<{width}} {meaning}")
