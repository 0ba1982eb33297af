"""Texts out of a pickled NumPy object array, read without unpickling: nothing is imported, built or called.

A pickle is a program. Here only its listing is read (`pickletools.genops` decodes, it does not run), and it must be the
one NumPy writes for an array of `str`: some steps that would make the array, a list of texts, and three closing steps.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Final

from ssc.errors import DataError

_PUT: Final = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_GET: Final = {"BINGET", "LONG_BINGET"}
_STORE: Final = {"MEMOIZE", "BINPUT", "LONG_BINPUT"}
_TEXT: Final = "a text"
_NAMES: Final = {"GLOBAL", "STACK_GLOBAL"}
_OPENING: Final = {
    *(_TEXT, "PROTO", "MARK", "REDUCE", "BUILD", "NONE", "NEWTRUE", "NEWFALSE", "SHORT_BINBYTES"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BININT", "BININT1", "BININT2", *_NAMES),
}
_WITHIN: Final = {_TEXT, "MARK", "APPEND", "APPENDS"}
_CLOSING: Final = ["TUPLE", "BUILD", "STOP"]
_OF_NUMPY: Final = {
    *("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"),
    *("numpy ndarray", "numpy dtype", "_codecs encode"),
}
"""All that such a pickle may name (protocol 2 spells bytes by `_codecs.encode`); none of it is looked up."""

Step = tuple[str, str]
"""Name of a step, and its text if it has one."""


def texts_of(pickled: bytes, count: int) -> list[str]:
    """The texts of a pickled one-dimensional object array of `str`.

    Args:
        pickled: What follows the header of a .npy file of object type.
        count: How many, as the header says.

    Raises:
        DataError: Not such an array, or damaged. Nothing of it has been run.
    """
    try:
        steps = list(_steps(pickled))
    except (ValueError, LookupError, OverflowError) as error:
        raise DataError(f"found a damaged pickle ({error}), wanted a list of texts") from None
    names = [name for name, _ in steps]
    start = names.index("EMPTY_LIST") if "EMPTY_LIST" in names else len(names)
    inside = steps[start + 1 : -len(_CLOSING)]
    _check_opening(steps[:start])
    _refuse(names[start + 1 : -len(_CLOSING)], _WITHIN)
    texts = [text for name, text in inside if name == _TEXT]
    if names[-len(_CLOSING) :] != _CLOSING or len(texts) != count:
        raise DataError(f"found {len(texts)} texts and steps {' '.join(names[-3:])}, wanted {count} and the end")
    return texts


def _steps(pickled: bytes) -> Iterator[Step]:
    """The steps of a pickle, texts fetched from its memo included; what it stores in the memo is followed silently."""
    memo: dict[int, Step] = {}
    last: Step = ("", "")
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _STORE:
            memo[len(memo) if argument is None else int(str(argument))] = last
        elif name != "FRAME":
            last = memo[int(str(argument))] if name in _GET else (_TEXT if name in _PUT else name, str(argument))
            yield last


def _check_opening(steps: list[Step]) -> None:
    _refuse([name for name, _ in steps], _OPENING)
    for place, (name, text) in enumerate(steps):
        if name in _NAMES:
            named = " ".join(text for _, text in steps[max(place - 2, 0) : place]) if name == "STACK_GLOBAL" else text
            _refuse([named], _OF_NUMPY)


def _refuse(found: list[str], wanted: set[str]) -> None:
    """Refuse what is not wanted."""
    foreign = [name for name in found if name not in wanted]
    if foreign:
        raise DataError(f"found {foreign[0]!r} in a pickle, wanted a list of texts and nothing else")
