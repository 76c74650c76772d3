"""What the user asked for, as the process that the user started was told."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_deploygate import ROLLBACK_CHECKS
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.core.printable import one_line

_ALONE = {
    "plan": "--deploy-plan",
    "reason": "--deploy-reason",
    "steps": "--deploy-steps",
    "approval": "--deploy-approval",
    "overrides": "--deploy-override",
}
"""Options that an operator types each time; by their names in a hand-over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """Options of one session. ``environment`` is empty where the default is meant."""

    mode: Mode
    environment: str = ""
    wait_s: float = 0
    reason: str = ""
    skips_steps: bool = False
    """Whether to go to 100 % at once, without judging any step."""
    detaches: bool = False
    """Whether to leave the rollout at the first step that must wait."""
    resumes: bool = False
    """Whether to carry a rollout on that waits at a step."""
    overrides: tuple[tuple[str, str], ...] = ()
    endpoint: str = ""
    approval: str = ""
    page: str = ""
    """File for a page on the rollout, as it was typed; empty for none."""
    watchdog: bool = True
    report_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What the process that the user started hands to the judge; ``asked`` has the values of the options."""

    parent: int
    """The process beside which the judge was started; 0 where it took the place of that process."""
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    cwd: str
    root: str
    pytest_root: str = ""
    """What pytest took for its root, which may be another folder in a repository of several projects."""
    junit: str
    verbosity: int
    color: str
    asked: dict[str, Any]

    @classmethod
    def from_json(cls, text: str) -> "Handover":
        """The hand-over that :mod:`pytest_deploygate.handover` wrote."""
        told = json.loads(text)
        return cls(
            parent=told.pop("parent"),
            command=tuple(told.pop("command")),
            arguments=tuple(told.pop("arguments")),
            cwd=told.pop("cwd"),
            root=told.pop("root"),
            pytest_root=told.pop("pytest_root", ""),
            junit=told.pop("junit"),
            verbosity=told.pop("verbosity"),
            color=told.pop("color"),
            asked=told,
        )

    @property
    def names_deployment(self) -> bool:
        """Whether ``--deploy-to`` was given."""
        return self.asked["to"] is not None


def read_options(handover: Handover) -> DeployOptions:
    """What the options ask for.

    Raises:
        ConfigError: options that contradict each other, are empty, or may only be typed.
    """
    asked = handover.asked
    _check_contradictions(asked)
    _require_typed(handover)
    return DeployOptions(
        mode=_mode_of(asked),
        environment=asked["to"] or asked["env"] or "",
        wait_s=asked["wait_s"],
        reason=one_line(asked["reason"] or ""),
        skips_steps=asked["steps"] == "none",
        detaches=asked["detach"] or asked["resume"] is not None,
        resumes=asked["resume"] is not None,
        overrides=tuple(_override(text) for text in asked["overrides"]),
        endpoint=asked["endpoint"],
        approval=asked["approval"] or "",
        page=asked["page"],
        report_only=asked["report_only"],
        watchdog=asked["watchdog"],
    )


def _check_contradictions(asked: dict[str, Any]) -> None:
    for option, value in (("--deploy-to", asked["to"]), ("--deploy-env", asked["env"])):
        if value is not None and not value.strip():
            raise ConfigError(
                f"{option} is empty",
                hint=f"name an environment: {option}=ENV (is a variable of the CI job not set?)",
            )
    if asked["to"] and asked["env"]:
        raise ConfigError("--deploy-to and --deploy-env exclude each other")
    if asked["plan"] and not asked["to"]:
        raise ConfigError("--deploy-plan needs --deploy-to=ENV")
    if asked["reason"] is not None and not asked["reason"].strip():
        raise ConfigError("--deploy-reason is empty", hint="say why: --deploy-reason=TEXT")
    if asked["steps"] and not (asked["to"] and asked["reason"]):
        raise ConfigError(
            f"--deploy-steps={asked['steps']} needs --deploy-to=ENV and --deploy-reason=TEXT",
            hint="say why no step is judged: --deploy-reason='fix of the outage'",
        )
    resumes = asked["resume"] is not None
    if (asked["detach"] or resumes) and not asked["to"]:
        raise ConfigError("--deploy-detach needs --deploy-to=ENV")
    if resumes and asked["to"] != asked["resume"]:
        raise ConfigError("--deploy-resume and --deploy-to exclude each other")
    if resumes and (asked["plan"] or asked["steps"] or asked["overrides"]):
        raise ConfigError(
            "--deploy-resume carries a rollout on as it was begun; it takes neither --deploy-plan nor --deploy-steps "
            "nor --deploy-override"
        )
    if asked["detach"] and asked["steps"]:
        raise ConfigError(f"--deploy-detach and --deploy-steps={asked['steps']} exclude each other")


def _mode_of(asked: dict[str, Any]) -> Mode:
    if asked["to"]:
        return Mode.PLAN if asked["plan"] else Mode.DEPLOY
    expression = re.sub(r"[()\s]+", " ", asked["markers"]).strip()
    if expression == ROLLBACK_CHECKS:
        return Mode.ROLLBACK_CHECKS
    if ROLLBACK_CHECKS in expression:
        raise ConfigError(
            f"-m {asked['markers']!r}: the live gates are judged whole or not at all",
            hint=f"run: pytest -m {ROLLBACK_CHECKS}",
        )
    return Mode.JUDGE


def _require_typed(handover: Handover) -> None:
    """Refuse what a file or a variable says in place of an operator."""
    typed = _parse_typed_options(handover.arguments)
    for name, option in _ALONE.items():
        value = handover.asked[name]
        if value and value != typed[name]:
            raise ConfigError(
                f"{option} is taken from the command line alone, but addopts or PYTEST_ADDOPTS names it",
                hint=f"remove it there, and type {option} when it is meant",
            )


def _parse_typed_options(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, fromfile_prefix_chars="@", exit_on_error=False
    )
    parser.add_argument("--deploy-plan", dest="plan", action="store_true")
    parser.add_argument("--deploy-reason", dest="reason")
    parser.add_argument("--deploy-steps", dest="steps")
    parser.add_argument("--deploy-approval", dest="approval")
    parser.add_argument("--deploy-override", dest="overrides", action="append", default=[])
    return vars(parser.parse_known_args(list(arguments))[0])


def _override(text: str) -> tuple[str, str]:
    gate, colon, reason = text.partition(":")
    if not colon or not gate.strip() or not reason.strip():
        raise ConfigError(
            f"--deploy-override={text}: the reason is missing",
            hint="for example: --deploy-override='zapier:the sheet is down'",
        )
    return gate.strip(), one_line(reason)
