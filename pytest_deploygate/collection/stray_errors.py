"""Hears of exceptions that end in no part of a check: in a thread, or in a finaliser, whoever else took those hooks."""

import sys
import threading
from collections.abc import Callable


class StrayErrors:
    """``heard`` is called with each. What was there before is called as well."""

    def __init__(self, heard: Callable[[BaseException], None]) -> None:
        self._heard = heard
        self.thread_hook = self._hear_thread
        self.finaliser_hook = self._hear_finaliser
        self._next_thread_hook = threading.excepthook
        self._next_finaliser_hook = sys.unraisablehook

    def listen(self) -> None:
        """Take both hooks, where somebody else has taken them meanwhile."""
        if threading.excepthook is not self.thread_hook:
            self._next_thread_hook = threading.excepthook
            threading.excepthook = self.thread_hook
        if sys.unraisablehook is not self.finaliser_hook:
            self._next_finaliser_hook = sys.unraisablehook
            sys.unraisablehook = self.finaliser_hook

    def _hear_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            self._heard(args.exc_value)
        self._next_thread_hook(args)

    def _hear_finaliser(self, unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_value is not None:
            self._heard(unraisable.exc_value)
        self._next_finaliser_hook(unraisable)
