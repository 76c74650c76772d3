"""Faults on request: what shall go wrong with admin calls and operations, how often, and from when on.

``POST /_local/faults`` takes a list of rules. A rule names the calls it is for (``method``, ``path``, a regular
expression searched in the path, and ``contains``, a text in the body), skips the first ``after`` of them, holds for
``times`` (null: for ever), and has one effect:

* ``http`` with ``status``, ``message``, ``retry_after``: that error answer; ``applied`` true: after the call was done,
* ``drop``: ``"before"`` cuts the connection and does nothing, ``"after"`` does the call and loses the answer,
  ``"middle"`` does the call and loses the second half of the answer,
* ``hang``: no answer until the rules are cleared; ``applied`` true: after the call was done,
* ``operation``: ``{"kind", "message", "slow_s", "applied"}`` for the operation that the call starts,
* ``traffic``: ``"half_applied"``, for a change of traffic,
* ``stale``: true, the reading answers what was true before the last change,
* ``stale_tag``: that many requests to a tag that the call moves still go where it led before, and to a new tag where
  the traffic goes,
* ``image_missing``: short name of a revision whose build is gone; names no calls and holds until cleared,
* ``delay_s`` alone, or before any of the others.

Instead of a ``path`` a rule may name a stand-in ``service``, such as ``sheets``: it is then for all calls of that one.

``DELETE /_local/faults`` drops all rules, with ``?name=NAME`` those that were given this ``name``.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import cast, get_args

from aiohttp import web

from pytest_deploygate.emulator.api.operation_store import FaultKind, OperationFault
from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json
from pytest_deploygate.emulator.services.service_list import FAULT_PATHS

_EFFECTS = ("http", "drop", "hang", "operation", "traffic", "stale", "stale_tag", "image_missing")
_KNOWN = (
    *_EFFECTS,
    "name",
    "method",
    "path",
    "contains",
    "service",
    "times",
    "after",
    "status",
    "message",
    "retry_after",
    "delay_s",
    "applied",
)
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_RULE = "fault_rule"
_MOST_RULES = 1000


@dataclass(slots=True, kw_only=True)
class Rule:
    """One fault; ``seen`` counts the calls that matched, ``given`` those that got it."""

    source: Json
    name: str = ""
    method: str = ""
    path: re.Pattern[str]
    contains: bytes = b""
    times: int | None = 1
    after: int = 0
    http: int | None = None
    status: str = ""
    message: str = "This error was asked for."
    retry_after_s: int | None = None
    delay_s: float = 0.0
    drop: str = ""
    hang: bool = False
    is_applied: bool = False
    operation: OperationFault | None = None
    half_applied: bool = False
    stale: bool = False
    stale_tag: int = 0
    image_missing: str = ""
    seen: int = 0
    given: int = 0

    def is_for(self, method: str, path: str) -> bool:
        """Whether the fault is for such a call, whatever its body."""
        is_meant = not self.image_missing and self.method in {"", method}
        return is_meant and self.path.search(path) is not None

    def takes(self, method: str, path: str, body: bytes) -> bool:
        """Whether the fault is for this call; counts the call if it matches."""
        matches = self.is_for(method, path) and self.contains in body
        if not matches or (self.times is not None and self.given >= self.times):
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.given += 1
        return True

    def to_json(self) -> Json:
        """The rule as it was given, with how often it matched and acted."""
        return self.source | {"seen": self.seen, "given": self.given}


class FaultRules:
    """The rules in force, in the order they came; the first that takes a call has it."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._cleared = asyncio.Event()

    @property
    def missing_images(self) -> set[str]:
        """Short names of revisions whose build is said to be gone."""
        return {rule.image_missing for rule in self._rules if rule.image_missing}

    def add(self, rules: list[Rule]) -> None:
        """Put more rules in force.

        Raises:
            ApiError: 400 for more than every call can be compared with.
        """
        if len(self._rules) + len(rules) > _MOST_RULES:
            raise ApiError(400, f"there would be more than {_MOST_RULES} rules; clear them first")
        self._rules.extend(rules)

    def drop(self, name: str) -> None:
        """Drop the rules of that name."""
        self._rules = [rule for rule in self._rules if rule.name != name]

    def clear(self) -> None:
        """Drop all rules and let go what hangs."""
        self._rules.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def to_json(self) -> list[Json]:
        """All rules with their counters."""
        return [rule.to_json() for rule in self._rules]

    def is_body_needed(self, method: str, path: str) -> bool:
        """Whether a rule for such a call looks into its body."""
        return any(rule.contains and rule.is_for(method, path) for rule in self._rules)

    def take(self, method: str, path: str, body: bytes = b"") -> Rule | None:
        """The rule for this call, or None."""
        return next((rule for rule in self._rules if rule.takes(method, path, body)), None)

    async def wait_until_cleared(self) -> None:
        """Wait until the rules are cleared."""
        await self._cleared.wait()


def rule_of(request: web.Request) -> Rule | None:
    """The rule that has this call."""
    found: Rule | None = request.get(_RULE)
    return found


def operation_fault(request: web.Request) -> OperationFault | None:
    """What shall go wrong with the operation that this call starts."""
    rule = rule_of(request)
    return rule.operation if rule is not None else None


def keep_rule(request: web.Request, rule: Rule) -> None:
    """Let the handler of this call know its rule."""
    request[_RULE] = rule


def parse_rules(body: object) -> list[Rule]:
    """Rules from the JSON of a request, a list or one rule.

    Raises:
        ApiError: 400, naming the rule by its position, the field and what it may be.
    """
    given = body if isinstance(body, list) else [body]
    if len(given) > _MOST_RULES:
        raise ApiError(400, f"there are more than {_MOST_RULES} rules")
    rules = []
    for index, entry in enumerate(given):
        try:
            rules.append(_rule(entry))
        except ValueError as error:
            raise ApiError(400, f"rule {index}: {error}") from error
    return rules


def _rule(entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise ValueError("a rule is an object")  # noqa: TRY004 - one kind of error for all that is wrong with a rule
    if unknown := sorted(set(entry) - set(_KNOWN)):
        raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(_KNOWN)}")
    effects = [name for name in _EFFECTS if name in entry]
    if len(effects) > 1:
        raise ValueError(f"has more than one effect: {', '.join(effects)}")
    if not effects and "delay_s" not in entry:
        raise ValueError(f"has no effect: give one of {', '.join(_EFFECTS)} or delay_s")
    times = entry.get("times", 1)
    return Rule(
        source=entry,
        name=_text(entry, "name"),
        method=_one_of(entry, "method", ("", *_METHODS)),
        path=_pattern(_text(entry, "path") or _paths_of(entry)),
        contains=_text(entry, "contains").encode(),
        times=None if times is None else _whole(entry, "times", 1, 1_000_000, 1),
        after=_whole(entry, "after", 0, 1_000_000, 0),
        http=_whole(entry, "http", 400, 599, 500) if "http" in entry else None,
        status=_text(entry, "status"),
        message=_text(entry, "message") or "This error was asked for.",
        retry_after_s=_whole(entry, "retry_after", 0, 86_400, 0)
        if "retry_after" in entry
        else None,
        delay_s=_number(entry, "delay_s"),
        drop=_one_of(entry, "drop", ("", "before", "after", "middle")),
        hang=_flag(entry, "hang"),
        is_applied=_flag(entry, "applied"),
        operation=_operation(entry.get("operation")),
        half_applied=_one_of(entry, "traffic", ("", "half_applied")) != "",
        stale=_flag(entry, "stale"),
        stale_tag=_whole(entry, "stale_tag", 1, 1_000_000, 1) if "stale_tag" in entry else 0,
        image_missing=_text(entry, "image_missing"),
    )


def _operation(value: object) -> OperationFault | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) - {"kind", "message", "slow_s", "applied"}:
        raise ValueError("operation is an object of kind, message, slow_s, applied")
    kinds = get_args(FaultKind)
    given: Json = {"kind": "slow", **value}
    kind = cast("FaultKind", _one_of(given, "kind", kinds))
    return OperationFault(
        kind=kind,
        message=_text(value, "message"),
        slow_s=_number(value, "slow_s"),
        is_applied=_flag(value, "applied"),
    )


def _paths_of(entry: Json) -> str:
    name = _text(entry, "service")
    if name and name not in FAULT_PATHS:
        raise ValueError(f"service must be one of {', '.join(FAULT_PATHS)}, not {name!r}")
    return FAULT_PATHS.get(name, "")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"path is no regular expression: {error}") from error


def _text(entry: Json, name: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {value!r}")  # noqa: TRY004 - see _rule
    return value


def _one_of(entry: Json, name: str, allowed: tuple[str, ...]) -> str:
    value = entry.get(name, "")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(filter(None, allowed))}, not {value!r}")
    return str(value)


def _flag(entry: Json, name: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")  # noqa: TRY004 - see _rule
    return value


def _whole(entry: Json, name: str, least: int, most: int, default: int) -> int:
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _number(entry: Json, name: str) -> float:
    value = entry.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise ValueError(f"{name} must be a number of seconds from 0 to 86400, not {value!r}")
    return float(value)
