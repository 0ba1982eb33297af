"""What is known of a trained estimator: one card (JSON) beside its file (skops).

    card = read_card("out/parana-demo.json")

A card is strict: a field too many, too few or of another kind is an error, and so is another schema version. Reading
one loads no estimator; `ssc.regression.artefact` does that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from ssc.errors import DataError, InputError

SCHEMA: Final = 1
"""Version of the card; raised when a field changes its meaning."""
SHIPPED: Final = Path(__file__).with_name("artefacts")
"""Where the cards lie that come with this package; a file's name without its ending is what it is asked for by."""
ENDING: Final = ".skops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a trained estimator is, was made from, and is worth.

    Raises:
        InputError: A field with a value it cannot have.
    """

    name: str
    """Name of both files without their endings, and of the regressor in the results table."""
    description: str
    """One line for a list."""
    estimator: str
    """Module and class."""
    columns: list[str]
    """Columns of a sample table that the estimator uses; of those only the six medians are ever required."""
    features: list[str]
    """Features of `ssc.regression.columns` that it is made of, in order."""
    feature_hash: str
    """`schema_hash` of the features when it was trained."""
    support: dict[str, list[Any]]
    """Of each column its smallest and largest value in training (None: always missing), of a text its values."""
    rows: int
    """Match-ups it was trained on."""
    sites: int
    """Sites these are from."""
    ssc_range: list[float]
    """Smallest and largest SSC in training, mg/L."""
    data: dict[str, Any]
    """Which data these are, from where, under which licence."""
    metrics: dict[str, Any]
    """Scores, and how they were obtained."""
    limits: list[str]
    """What it is known not to do well."""
    licence: str
    """Of the estimator itself."""
    date: str
    """Day it was saved, YYYY-MM-DD."""
    versions: dict[str, str]
    """Of the packages that wrote it: scikit-learn, numpy, skops."""
    golden: dict[str, Any]
    """inputs (column: values of up to 100 training rows) and ssc (what it makes of them, mg/L): checked at loading."""
    sha256: str
    """Of the skops file."""

    def __post_init__(self) -> None:
        for name, (fits, wanted) in _WANTED.items():
            if not fits(getattr(self, name)):
                raise InputError(f"card: {name}: found {_short(getattr(self, name))}, wanted {wanted}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Card.from_dict` reads them."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """From the plain values of `as_dict`: all of them and no others.

        Raises:
            InputError: Another schema version, or a field unknown, missing or with a value it cannot have.
        """
        if not isinstance(plain, dict):
            raise InputError(f"not a card: found {_short(plain)}, wanted a table of its fields")
        if plain.get("schema") != SCHEMA:
            raise InputError(f"card: schema: found version {_short(plain.get('schema'))}, wanted {SCHEMA}")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(plain.keys() - known - {"schema"}):
            raise InputError(f"card: found unknown fields {_short(unknown)}, wanted {' '.join(sorted(known))}")
        if missing := sorted(known - plain.keys()):
            raise InputError(f"card: found no {' '.join(missing)}, wanted every field")
        return cls(**{name: plain[name] for name in known})


def read_card(path: Path) -> Card:
    """The card in a file.

    Raises:
        InputError: No such file.
        DataError: Not a card of this schema, or damaged.
    """
    if not path.is_file():
        raise InputError(f"no card {path}: wanted a path to a .json file written by ssc.regression.artefact.save")
    try:
        return Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError(f"card {path}: {error}") from error


def shipped_path(name: str) -> Path:
    """Where the card of that name would lie among those that come with this package."""
    return SHIPPED / f"{name}.json"


def shipped_names() -> list[str]:
    """Names of the estimators that come with this package."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{64}", value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return numbers and value[0] > 0 and value[0] <= value[1]


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_table(value: Any) -> bool:
    """Anything JSON holds, by name; NaN and infinity it does not."""
    try:
        return isinstance(value, Mapping) and json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        return False


def _are_versions(value: Any) -> bool:
    return isinstance(value, Mapping) and "scikit-learn" in value and all(map(_is_text, value.values()))


def _is_support(value: Any) -> bool:
    return _is_table(value) and all(isinstance(found, list) for found in value.values())


def _is_golden(value: Any) -> bool:
    """As many values of each column as answers, each a number or None, of inputs also text."""
    if not (isinstance(value, Mapping) and value.keys() == {"inputs", "ssc"} and isinstance(value["inputs"], Mapping)):
        return False
    answers, columns = value["ssc"], list(value["inputs"].values())
    if not all(isinstance(values, list) and len(values) == len(answers) > 0 for values in [answers, *columns]):
        return False
    numbers = all(known is None or _is_number(known) for known in answers)
    return numbers and all(v is None or isinstance(v, str) or _is_number(v) for values in columns for v in values)


_WANTED: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "name": (_is_name, "up to 100 letters, digits, '.', '_', '-', no path and no ending"),
    **dict.fromkeys(("description", "estimator", "licence"), (_is_text, "text")),
    **dict.fromkeys(("columns", "features", "limits"), (_are_texts, "a list of texts")),
    **dict.fromkeys(("feature_hash", "sha256"), (_is_hash, "64 hex digits")),
    **dict.fromkeys(("rows", "sites"), (_is_count, "a whole number above 0")),
    **dict.fromkeys(("data", "metrics"), (_is_table, "a table of what JSON can hold")),
    "support": (_is_support, "a table of lists"),
    "ssc_range": (_is_range, "two numbers above 0, the smaller first"),
    "date": (_is_day, "YYYY-MM-DD"),
    "versions": (_are_versions, "a text for each package, scikit-learn among them"),
    "golden": (_is_golden, "inputs (columns) and ssc (numbers), equally long and not empty"),
}
