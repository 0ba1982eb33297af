"""Trained estimators as files that are safe to receive: NAME.skops, and NAME.json that says what it is.

    card = save(model, "out", name="mekong", description="...", data=matchups, metrics={}, limits=[], licence="MIT")
    model, card = load_estimator("out/mekong.json")

A skops file holds types and numbers. Those of `TRUSTED` and of scikit-learn are built, any other is refused before
anything is imported or built; there are no pickles. Trees are looked at before they are asked (`ssc.regression.trees`).
The sha256 of the file stands on the card, its features must mean what they mean in this code, and it must still say of
some training rows what it said when it was saved: the internals of scikit-learn are promised for no other version.

Whoever writes both files decides what the sha256 is: it finds damage and mix-ups, not a forger. What a forger can do is
bounded by the types.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_LZMA, BadZipFile

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import InconsistentVersionWarning
from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

from ssc.drafts import drafted
from ssc.errors import DataError, InputError
from ssc.regression.card import ENDING, Card, read_card
from ssc.regression.columns import FEATURES, MEDIANS, schema_hash
from ssc.regression.trees import check_trees

Floats = NDArray[np.float64]

TRUSTED: Final = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "ssc.regression.ensemble.Ensemble",
    "ssc.regression.estimator.SSCRegressor",
    "ssc.regression.intervals.Residuals",
    "ssc.regression.learners.BaselineLine",
    "ssc.regression.learners.ColourKernel",
    "ssc.regression.learners.Smoothed",
    "ssc.regression.local.Correction",
    "ssc.regression.local.Parts",
    "ssc.regression.pair_fit.NetworkPair",
    "ssc.regression.support.Support",
)
"""Types that are built besides the estimators of scikit-learn and plain values: numbers and code of ours, none of which
runs a command, opens a file or calls what it is given. Written by hand; never what a file asks for."""
GOLDEN: Final = 100
"""Training rows on the card, at most."""
AGREES: Final = 1e-6
"""Share by which golden predictions may differ."""
_UNREADABLE: Final = (
    *(BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, LookupError, ValueError, TypeError),
    *(AttributeError, ImportError, ArithmeticError, RuntimeError, MemoryError),
)
"""What a damaged or foreign file makes the reader raise."""


def save(  # noqa: PLR0913, a card has many fields and all are wanted
    estimator: Any,
    folder: str | Path,
    *,
    name: str,
    description: str,
    data: pd.DataFrame,
    metrics: Mapping[str, Any],
    limits: Sequence[str],
    licence: str,
    source: Mapping[str, Any] | None = None,
    date: str | None = None,
) -> Card:
    """Write a fitted estimator and its card; each file appears whole or not at all, the card last.

    Stopped between the two, an older card of that name no longer fits its file, and loading says so.

    Args:
        estimator: Fitted on a table with named columns: `SSCRegressor`, `NetworkPair`, or one of scikit-learn.
        folder: Made when it is not there.
        name: Of both files.
        description: One line.
        data: The match-up table it was trained on: site, ssc_mg_l and the columns it uses. Counts, ranges and up to 100
            of its rows (the used columns, not the labels) go on the card: mind the licence of the data.
        metrics: Scores, and how they were obtained.
        limits: What it is known not to do well.
        licence: Of the estimator.
        source: Which data these are, from where, under which licence.
        date: YYYY-MM-DD; None: today, UTC.

    Returns:
        The card as written.

    Raises:
        InputError: Not fitted on named columns, a column missing from `data`, a type inside that would not be loaded,
            or a field of the card that cannot be.
    """
    columns, features = _columns(estimator, data), _features(estimator)
    content = _dumped(estimator)
    golden = _golden(estimator, data, columns)
    ssc = data["ssc_mg_l"].to_numpy(dtype=float)
    card = Card(
        name=name,
        description=description,
        estimator=_kind(estimator),
        columns=columns,
        features=features,
        feature_hash=schema_hash(features),
        support={column: _range(data[column]) for column in columns},
        rows=len(data),
        sites=int(data["site"].nunique()),
        ssc_range=[float(ssc.min()), float(ssc.max())],
        data=dict(source or {}),
        metrics=dict(metrics),
        limits=list(limits),
        licence=licence,
        date=datetime.now(UTC).date().isoformat() if date is None else date,
        versions={package: version(package) for package in ("scikit-learn", "numpy", "skops")},
        golden=golden,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    _check_golden(_built(content, card.name), card)
    with drafted(Path(folder) / f"{name}{ENDING}") as draft:
        draft.write_bytes(content)
    with drafted(Path(folder) / f"{name}.json") as draft:
        draft.write_text(json.dumps(card.as_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return card


def load_estimator(path: str | Path) -> tuple[Any, Card]:
    """A saved estimator and its card, after all checks.

    Args:
        path: Of the card, or of a folder with one card.

    Raises:
        InputError: No such card, or a folder with several.
        DataError: A damaged card or file, another schema version, sha256, class or set of features, a type that is not
            trusted, or golden predictions that no longer come out.

    Warns:
        UserWarning: Written with another minor version of scikit-learn, though the golden predictions come out.
    """
    where = _card_path(Path(path))
    card = read_card(where)
    content = _content(where.with_suffix(ENDING), card)
    _check_features(card, card.features, where)
    estimator = _built(content, str(where))
    if (kind := _kind(estimator)) != card.estimator:
        raise DataError(f"artefact {where}: found a {kind}, wanted a {card.estimator} as on the card")
    _check_features(card, _features(estimator), where)
    _check_golden(estimator, card)
    if _foreign(card):
        warnings.warn(_of_version(card) + "; its golden predictions come out the same", UserWarning, stacklevel=2)
    return estimator, card


def _card_path(path: Path) -> Path:
    if not path.is_dir():
        return path
    cards = sorted(path.glob("*.json"))
    if len(cards) != 1:
        names = " ".join(card.name for card in cards) or "none"
        raise InputError(f"no card {path}: found {names} in that folder, wanted one .json file, or the path of one")
    return cards[0]


def _content(path: Path, card: Card) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"artefact {path}: not there, wanted it beside its card") from None
    except OSError as error:
        raise DataError(f"artefact {path}: cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise DataError(f"artefact {path}: found sha256 {found[:16]}..., wanted {card.sha256[:16]}... as on its card")
    return content


def _dumped(estimator: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        skops.io.dump(estimator, buffer, compression=ZIP_LZMA)
    except (UnsupportedTypeException, TypeError, AttributeError) as error:
        raise InputError(f"estimator {_kind(estimator)}: holds what skops does not store: {error}") from error
    content = buffer.getvalue()
    if unknown := sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED)):
        raise InputError(f"estimator {_kind(estimator)}: holds types that would not be loaded: {' '.join(unknown)}")
    return content


def _built(content: bytes, what: str) -> Any:
    with warnings.catch_warnings():
        # Versions are compared here, on the card
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            estimator = skops.io.load(io.BytesIO(content), trusted=list(TRUSTED))
            check_trees(estimator)
        except UntrustedTypesFoundException as error:
            raise DataError(f"artefact {what}: refused. {str(error).splitlines()[0]}") from None
        except DataError as error:
            raise DataError(f"artefact {what}: refused, it holds {error}") from error
        except _UNREADABLE as error:
            raise DataError(f"artefact {what}: not a skops file this version reads: {error!r}") from error
    return estimator


def _check_features(card: Card, names: list[str], where: Path) -> None:
    try:
        found = schema_hash(names)
    except InputError as error:
        raise DataError(f"artefact {where}: {error}") from error
    if found != card.feature_hash:
        raise DataError(
            f"artefact {where}: made of other features: on the card {card.feature_hash[:16]}..., those names here are "
            f"{found[:16]}...; train it anew"
        )


def _check_golden(estimator: Any, card: Card) -> None:
    try:
        found = _predicted(estimator, card.golden["inputs"])
    except _UNREADABLE as error:
        raise DataError(f"artefact {card.name}: fails on its golden rows: {error!r}{_perhaps(card)}") from error
    wanted = np.array([np.nan if value is None else value for value in card.golden["ssc"]], dtype=float)
    off = ~np.isclose(found, wanted, rtol=AGREES, atol=0, equal_nan=True)
    if off.any():
        first = int(np.argmax(off))
        raise DataError(
            f"artefact {card.name}: {off.sum()} of {len(off)} golden predictions differ, first in row {first}: found "
            f"{found[first]:.9g}, wanted {wanted[first]:.9g} mg/L{_perhaps(card)}"
        )


def _foreign(card: Card) -> bool:
    here, there = (text.split(".")[:2] for text in (version("scikit-learn"), card.versions["scikit-learn"]))
    return here != there


def _of_version(card: Card) -> str:
    return (
        f"artefact {card.name}: written with scikit-learn {card.versions['scikit-learn']}, "
        f"here is {version('scikit-learn')}"
    )


def _perhaps(card: Card) -> str:
    return f" ({_of_version(card)})" if _foreign(card) else ""


def _golden(estimator: Any, data: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    """Rows at even steps from the lowest to the highest SSC, and what the estimator makes of them."""
    order = np.argsort(data["ssc_mg_l"].to_numpy(dtype=float), kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), GOLDEN)).round().astype(int))]
    inputs = {column: _plain(data[column].iloc[chosen]) for column in columns}
    return {"inputs": inputs, "ssc": _plain(pd.Series(_predicted(estimator, inputs)))}


def _predicted(estimator: Any, inputs: Mapping[str, Any]) -> Floats:
    texts = {column for column, values in inputs.items() if any(isinstance(value, str) for value in values)}
    table = pd.DataFrame({n: pd.Series(v, dtype=object if n in texts else float) for n, v in inputs.items()})
    return np.asarray(estimator.predict(table), dtype=float)


def _plain(values: pd.Series) -> list[Any]:
    """Numbers as float, infinite and missing ones as None, texts as they are."""
    if not pd.api.types.is_numeric_dtype(values):
        return [None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
    return [float(value) if np.isfinite(value) else None for value in values.to_numpy(dtype=float)]


def _range(values: pd.Series) -> list[Any]:
    known = [value for value in _plain(values) if value is not None]
    if not pd.api.types.is_numeric_dtype(values):
        return sorted(set(known))
    return [min(known), max(known)] if known else [None, None]


def _names(estimator: Any) -> list[str]:
    names: ArrayLike | None = getattr(estimator, "feature_names_in_", getattr(estimator, "names_", None))
    if names is None:
        raise InputError(f"estimator {_kind(estimator)}: wanted one that is fitted on a table with named columns")
    return [str(name) for name in np.asarray(names)]


def _features(estimator: Any) -> list[str]:
    """The names among its inputs that the schema of features defines."""
    return [name for name in _names(estimator) if name in FEATURES]


def _columns(estimator: Any, data: pd.DataFrame) -> list[str]:
    """What of the table it uses. Features that `SSCRegressor` makes itself need not be there."""
    names = _names(estimator)
    makes_features = hasattr(estimator, "feature_schema_hash_")
    needed = MEDIANS if makes_features else names
    if missing := [name for name in ("site", "ssc_mg_l", *needed) if name not in data]:
        raise InputError(f"training table of {_kind(estimator)}: no column {' '.join(missing)}")
    if data.empty:
        raise InputError(f"training table of {_kind(estimator)}: no rows")
    known = [*names, *(["product"] if makes_features else [])]
    return [name for name in dict.fromkeys(known) if name in data]


def _kind(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"
