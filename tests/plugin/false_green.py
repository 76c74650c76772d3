"""A case: what is by_check, in which kinds of process, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from tests.plugin.plugin_project import SUBJECT

IN_PROCESS, WORKERS = 0, 2
BOTH = (IN_PROCESS, WORKERS)
GATE = "gate_failed"
INCOMPLETE = "evidence_incomplete"
INTERRUPTED = "interrupted"
REFUSED_BY_RULE = "could_not_act"


@dataclass(frozen=True, kw_only=True)
class FalseGreen:
    """One false green and its end. Where it is in the candidate gate, the candidate is staged and must go again.

    ``statuses`` are the exit statuses that may come of it, ``check`` what the ledger says of the check,
    ``is_recorded`` whether the session came so far that there is a rollout (None: it depends on the kind of process).
    """

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, str] = ("", "")
    """What is replaced in the settings, and by what."""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[int, ...] = (1,)
    state: str = "ROLLED_BACK"
    reasons: tuple[str, ...] = (GATE,)
    says: str = ""
    """What the reason says."""
    check: str = ""
    checks: tuple[str, ...] = ()
    """Where the state of the check depends on the kind of process: all that are right."""
    node: str = f"{SUBJECT}::test_subject"
    is_recorded: bool | None = True
    workers: tuple[int, ...] = BOTH
    needs: str = ""
    """A module that it needs."""

    @property
    def programs(self) -> dict[str, str]:
        """The files, each test file with the modules that it may need."""
        return {
            path: f"{IMPORTS}{dedent(text)}"
            if text and Path(path).name.startswith("test_")
            else text
            for path, text in self.files.items()
        }

    @property
    def is_sociable(self) -> bool:
        """Whether it only concerns its own check, so that many can be in one session."""
        is_plain = self.reasons == (GATE,) and set(self.files) == {SUBJECT}
        is_plain &= not any(
            f"scope={quote}session" in text for text in self.files.values() for quote in "\"'"
        )
        return (
            is_plain
            and self.statuses == (1,)
            and not (self.args or self.settings != ("", "") or self.needs)
        )


def by_check(name: str, body: str, **more: object) -> FalseGreen:
    """One made by the check of the candidate gate."""
    return FalseGreen(name=name, files={SUBJECT: body}, **more)  # type: ignore[arg-type]  # checked by the class


def by_collection(name: str, files: Mapping[str, str], **more: object) -> FalseGreen:
    """One that keeps checks from being collected: refused before anything is staged."""
    settled = {
        "state": "REFUSED",
        "reasons": (INCOMPLETE, REFUSED_BY_RULE),
        "is_recorded": None,
        **more,
    }
    return FalseGreen(name=name, files=files, **settled)  # type: ignore[arg-type]  # checked by the class


IMPORTS = """\
import os, sys, threading, time, unittest, warnings
import pytest
"""
