"""The last few results of slow work, each made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Slot(Generic[V]):
    lock: Lock = field(default_factory=Lock)
    value: V | None = None


class LastFew(Generic[K, V]):
    """Keeps the values of the last `size` keys asked for. Any number of threads may ask.

    Threads that ask for the same key wait for the one that makes its value; other keys do not wait. What fails is not
    kept: the next one to ask tries again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: OrderedDict[K, _Slot[V]] = OrderedDict()
        self._lock = Lock()

    def value(self, key: K, make: Callable[[], V]) -> V:
        """The kept value of a key, else `make()`."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            if len(self._slots) > self._size:
                self._slots.popitem(last=False)  # a thread still making it holds the slot itself
        with slot.lock:
            if slot.value is None:
                slot.value = make()
            return slot.value
