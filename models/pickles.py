"""Reading files of torch.save for their tensors and plain values, and for nothing else.

torch's own restricted reader (`weights_only=True`) refuses whatever could run code. Checkpoints of training scripts
often hold a score as a numpy scalar too, which it refuses as well. Allowing numpy's own constructors would let in every
dtype there is, objects and structures among them; the stand-ins below read plain numbers as Python's, and nothing more.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ssc.errors import DataError

_REMEDY: Final = (
    "wanted tensors, numbers, text, lists and tables only; whoever trusts it can load it where it was made and save"
    ' {"state_dict": model.state_dict()} anew'
)
_DAMAGE: Final = (
    *(RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""All that torch's reader was seen to raise on damaged files: it was written for whole ones."""


class _ScalarType:
    """Stands in for numpy.dtype: which number, in which byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in {"<", ">"}:
            self.order = state[1]


def _scalar(kind: object, content: object = b"") -> int | float | bool:
    """Stands in for numpy's function that makes a scalar of a dtype and bytes."""
    if not isinstance(kind, _ScalarType) or not re.fullmatch("b1|f[248]|[iu][1248]", str(kind.code)):
        raise pickle.UnpicklingError("a numpy value that is no plain number")
    if not isinstance(content, bytes) or len(content) != int(str(kind.code)[1:]):
        raise pickle.UnpicklingError("a numpy number of a wrong length")
    number: int | float | bool = np.frombuffer(content, f"{kind.order}{kind.code}")[0].item()
    return number


_STAND_INS: Final[list[Any]] = [
    (_ScalarType, "numpy.dtype"),
    (_scalar, "numpy.core.multiarray.scalar"),  # numpy 1
    (_scalar, "numpy._core.multiarray.scalar"),  # numpy 2
]


def read_plain(path: Path) -> Any:
    """What a file of torch.save holds, tensors on the CPU and memory-mapped where the format allows it.

    Raises:
        DataError: Not such a file, damaged, or with something in it that is neither tensor nor plain value.
    """
    try:
        zipped = zipfile.is_zipfile(path)  # torch.save since 1.6; older files are a row of pickles
        if zipped:
            _check_sums(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")  # of pickle protocols: if it cannot read one it says so
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise DataError(_refusal(path, str(error))) from error
    except _DAMAGE as error:
        raise DataError(f"checkpoint {path}: damaged or not of torch.save: {_first_line(error)}") from error


def _check_sums(path: Path) -> None:
    """The sums in the zip: torch does not look at them when it maps a file."""
    with zipfile.ZipFile(path) as archive:
        if bad := archive.testzip():
            raise zipfile.BadZipFile(f"entry {bad} does not fit its checksum")


def _refusal(path: Path, message: str) -> str:
    if found := re.search(r"GLOBAL (\S+)", message):
        return f"checkpoint {path}: found {found[1]}, which could run code when read; {_REMEDY}"
    reason = re.search(r"WeightsUnpickler error:\s+(.+)", message)
    return f"checkpoint {path}: found {reason[1] if reason else message!r}; {_REMEDY}"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]
