"""A lie: what is told, in which kinds of process, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.plugin.plugin_project import LIE

IN_PROCESS, WORKERS = 0, 2
BOTH = (IN_PROCESS, WORKERS)
GATE = "gate_failed"
INCOMPLETE = "evidence_incomplete"
INTERRUPTED = "interrupted"
REFUSED_BY_RULE = "could_not_act"


@dataclass(frozen=True, kw_only=True)
class Lie:
    """One lie and its end. Where it is told in the candidate gate, the candidate is staged and must go again.

    ``statuses`` are the exit statuses that may come of it, ``check`` what the ledger says of the lying check,
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
    node: str = f"{LIE}::test_lie"
    is_recorded: bool | None = True
    workers: tuple[int, ...] = BOTH
    needs: str = ""
    """A module without which the lie cannot be told."""

    @property
    def is_sociable(self) -> bool:
        """Whether the lie only concerns its own check, so that many can be told in one session."""
        is_plain = self.reasons == (GATE,) and set(self.files) == {LIE}
        is_plain &= "scope='session'" not in "".join(self.files.values())
        return (
            is_plain
            and self.statuses == (1,)
            and not (self.args or self.settings != ("", "") or self.needs)
        )


def told(name: str, body: str, **more: object) -> Lie:
    """A lie told by the check of the candidate gate."""
    return Lie(name=name, files={LIE: body}, **more)  # type: ignore[arg-type]  # checked by the class


def whole(name: str, files: Mapping[str, str], **more: object) -> Lie:
    """A lie that keeps checks from being collected: refused before anything is staged."""
    settled = {
        "state": "REFUSED",
        "reasons": (INCOMPLETE, REFUSED_BY_RULE),
        "is_recorded": None,
        **more,
    }
    return Lie(name=name, files=files, **settled)  # type: ignore[arg-type]  # checked by the class


IMPORTS = "import os, sys, threading, time, unittest, warnings\nimport pytest\n"
