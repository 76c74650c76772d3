"""What a process that runs checks tells the judge, one JSON object a line, and how strictly that is read.

Whatever comes over the channel was written by a process that has loaded code of the project. So nothing is believed
that is not exactly of its form: :func:`decode` raises for anything else, and whoever reads makes that a doubt.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, TypeAlias

LONGEST_BYTES: Final = 64 * 1024 * 1024
"""Longest line that is read: the inventory of some hundred thousand checks."""


SERVER_ERRORS: Final = ":5xx"
"""End of the name of an endpoint in :class:`AttemptEnded`, where answers with a status of 5xx are counted."""
CERTAIN: Final = "certain"
LIKELY: Final = "likely"
"""What :class:`AttemptEnded` says of mistakes."""


class ChannelError(Exception):
    """A message is not of its form."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a process: who it is.

    ``role`` is ``session`` or ``worker``; ``refusals`` are sentences on options with which nothing can be deployed;
    ``optimize`` is the interpreter's level of optimisation (assert statements do not run above 0).
    """

    role: str
    pid: int
    worker: str
    root: str
    optimize: int
    refusals: tuple[str, ...]


class CollectedCheck(NamedTuple):
    """One collected test. ``path`` is absolute; ``markers`` are those marker names that gates of the policy use.

    ``defect`` is what a marker says of its known defect (last day and reason), or empty. ``step`` is the percent of
    traffic at which a check of a step gate runs, 0 for all others.
    """

    nodeid: str
    path: str
    markers: tuple[str, ...]
    defect: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """All tests that this process collected, before any hook could take one out; ``doubts`` say what was taken out.

    ``mistakes`` are sentences on what is wrong with the checks themselves.
    """

    checks: tuple[CollectedCheck, ...]
    doubts: tuple[str, ...]
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectionDone:
    """The session has collected, its workers too; ``errors`` counts what could not be collected."""

    errors: int


@dataclass(frozen=True, slots=True)
class Began:
    """An attempt at a check begins; ``check`` is its place in :class:`Collected` of this process."""

    check: int


class Part(NamedTuple):
    """What one part of a check was seen to come to; see :class:`pytest_deploygate.core.evidence.ReportFact`."""

    when: str
    outcome: str
    is_xfail: bool
    is_subtest: bool


class Measured(NamedTuple):
    """A number that a check measured."""

    name: str
    value: float | str
    """A text where JSON's numbers are not exact for it, such as ``1/3``."""
    unit: str
    side: str = ""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt at a check has ended: its parts in order, what it measured, and how often it asked which endpoint.

    ``why`` is for people: where and with what it failed first, ``FILE:LINE: ERROR``; else empty. ``mistake`` says
    whether code of the check itself was wrong: ``certain``, ``likely`` (unless an answer had a part in it), or empty.
    """

    check: int
    parts: tuple[Part, ...]
    measured: tuple[Measured, ...]
    asked: Mapping[str, int]
    why: str = ""
    mistake: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """The short form of `AttemptEnded`, for a plain pass: one setup, call and teardown, nothing measured or asked."""

    check: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something makes the evidence incomplete; with ``check`` (a node id), that check was made to look better."""

    sentence: str
    check: str


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """The checks of the phase have run, and their fixtures are torn down."""

    phase: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What ``pytest_deploygate_decide`` of the project said: nothing, its verdict, or how it broke."""

    is_given: bool
    holds: bool
    reasons: tuple[tuple[str, str], ...]
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """An order that needs no other answer was carried out; ``note`` says what went wrong with it."""

    note: str


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """The session comes to its end without having been told so: pytest's exit status, and why it stopped."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of a process that ends in order."""

    status: int


Message: TypeAlias = (
    Hello | Collected | CollectionDone | Began | AttemptEnded | Passed | Doubt | PhaseDone | Opinion
    | Done | SessionEnding | Bye
)  # fmt: skip
_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        *(
            Hello,
            Collected,
            CollectionDone,
            Began,
            AttemptEnded,
            Passed,
            Doubt,
            PhaseDone,
            Opinion,
            Done,
        ),
        *(SessionEnding, Bye),
    )
}


_FIELDS: Final = {kind: tuple(f.name for f in fields(kind)) for kind in _KINDS.values()}
_SHORT: Final = re.compile(rb'\["(Began|Passed)",\[(0|[1-9][0-9]{0,8})\]\]')


def encode(message: Message) -> bytes:
    """The line of a message, with its end."""
    return json.dumps(as_list(message)).encode() + b"\n"


def as_list(message: Message) -> list[object]:
    """A message as JSON knows it: its name, and its fields; what these hold are named tuples, which it knows."""
    kind = type(message)
    return [kind.__name__, [getattr(message, name) for name in _FIELDS[kind]]]


def decode(line: bytes) -> Message:
    """The message of a line.

    Raises:
        ChannelError: it is none, with what is wrong about it.
    """
    if short := _SHORT.fullmatch(line):  # nearly all messages
        return (Began if short[1] == b"Began" else Passed)(int(short[2]))
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"no JSON: {error}") from error
    match document:
        case [str(name), list(values)] if name in _KINDS:
            made: Message = _make(_KINDS[name], values)
            return made
        case _:
            raise ChannelError("no message")


def _make(kind: type[Any], values: object) -> Any:
    readers = _READERS[kind]
    if not isinstance(values, list) or len(values) != len(readers):
        raise ChannelError(f"{kind.__name__} has {len(readers)} fields")
    return kind(*(read(value) for read, value in zip(readers, values, strict=True)))


def _of(kind: type) -> Callable[[object], Any]:
    def read(value: object) -> Any:
        if type(value) is not kind:
            raise ChannelError(f"{value!r} is no {kind.__name__}")
        return value

    return read


def _number(value: object) -> float | str:
    if type(value) not in (int, float, str):
        raise ChannelError(f"{value!r} is no number")
    return value  # type: ignore[return-value]  # just looked at


def _many(read: Callable[[object], Any]) -> Callable[[object], Any]:
    def read_all(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ChannelError(f"{value!r} is no list")
        return tuple(read(item) for item in value)

    return read_all


def _pair(value: object) -> tuple[str, str]:
    match value:
        case [str(first), str(second)]:
            return first, second
        case _:
            pass
    raise ChannelError(f"{value!r} is no pair of texts")


def _counts(value: object) -> dict[str, int]:
    if type(value) is not dict or not all(type(n) is int and n >= 0 for n in value.values()):
        raise ChannelError(f"{value!r} counts nothing")
    return value


def _one(kind: type[Any]) -> Callable[[object], Any]:
    return lambda value: _make(kind, value)


_text, _whole, _flag = _of(str), _of(int), _of(bool)
_texts = _many(_text)
_READERS: Final[Mapping[type, tuple[Callable[[object], Any], ...]]] = {
    Hello: (_text, _whole, _text, _text, _whole, _texts),
    CollectedCheck: (_text, _text, _texts, _text, _whole),
    Collected: (_many(_one(CollectedCheck)), _texts, _texts),
    CollectionDone: (_whole,),
    Began: (_whole,),
    Part: (_text, _text, _flag, _flag),
    Measured: (_text, _number, _text, _text),
    AttemptEnded: (_whole, _many(_one(Part)), _many(_one(Measured)), _counts, _text, _text),
    Passed: (_whole,),
    Doubt: (_text, _text),
    PhaseDone: (_text,),
    Opinion: (_flag, _flag, _many(_pair), _text),
    Done: (_text,),
    SessionEnding: (_whole, _text),
    Bye: (_whole,),
}
