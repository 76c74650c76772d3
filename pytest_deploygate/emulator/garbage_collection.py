"""Keeps memory management from holding up requests: it handles all objects at once, and sheets have many.

What is frozen is freed as soon as nobody refers to it, like everything else; only cycles in it are not found.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MANY_OBJECTS = 5000
_LONG = 1000
_FREED_AT_ONCE = 1000


class _Pauses:
    """Pauses that may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._ended = 0

    def begin(self) -> None:
        with self._lock:
            self._begun += 1
            gc.disable()

    def end(self) -> None:
        with self._lock:
            self._ended += 1
            # many small calls make together as much as a large one
            if gc.get_count()[0] > _MANY_OBJECTS or self._ended % _LONG == 0:
                gc.freeze()
            if self._ended == self._begun:
                gc.enable()


_PAUSES = _Pauses()


@contextmanager
def collection_paused() -> Iterator[None]:
    """For work in a thread that may make many objects which live on: the collector never looks through them."""
    _PAUSES.begin()
    try:
        yield
    finally:
        _PAUSES.end()


def free_gradually(value: object) -> None:
    """Empty the lists and objects in ``value``; to free them all at once would stop every thread meanwhile."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left.extend(part.values())
            part.clear()
        while isinstance(part, list) and part:
            left.extend(one for one in part[-_FREED_AT_ONCE:] if isinstance(one, dict | list))
            del part[-_FREED_AT_ONCE:]
