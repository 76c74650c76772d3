"""Injects faults into a revision on request, so that rollbacks can be tried: it errs, dawdles, lies, dies or bloats."""

from dataclasses import dataclass, field
from fractions import Fraction

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json

MAX_LATENCY_S = 3600.0


@dataclass(slots=True, kw_only=True)
class InjectedFault:
    """How requests to one revision are answered wrongly; the default is not at all."""

    error_ratio: Fraction = Fraction(0)
    """Share of requests that are answered with ``status`` and never reach the function, spread evenly."""
    status: int = 500
    latency_s: float = 0.0
    """Waited before each request is passed on."""
    body: str | None = None
    """Answered instead of what the function says, with 200; the function still does its work."""
    memory_mb: float = 0.0
    """Added to what the revision is measured to use."""
    _debt: Fraction = field(default=Fraction(0))

    def errs_now(self) -> bool:
        """Whether the next request is one of those that fail: exactly ``error_ratio`` of them in the long run."""
        self._debt += self.error_ratio
        if self._debt >= 1:
            self._debt -= 1
            return True
        return False

    def to_json(self) -> Json:
        """As it was asked for."""
        return {
            "error_ratio": float(self.error_ratio),
            "status": self.status,
            "latency_s": self.latency_s,
            "body": self.body,
            "memory_mb": self.memory_mb,
        }


def parse_injected_fault(body: Json) -> tuple[InjectedFault, bool]:
    """What a request asks for, and whether the instance shall be killed now.

    Raises:
        ApiError: 400, naming the field and what it may be.
    """
    known = {"error_ratio", "status", "latency_s", "body", "memory_mb", "kill"}
    if unknown := sorted(set(body) - known):
        raise ApiError(400, f"unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}")
    kill = body.get("kill", False)
    if not isinstance(kill, bool):
        raise ApiError(400, "kill must be true or false")
    status = body.get("status", 500)
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        raise ApiError(400, f"status must be a whole number from 400 to 599, not {status!r}")
    text = body.get("body")
    if text is not None and not isinstance(text, str):
        raise ApiError(400, "body must be a text")
    ratio = _number(body, "error_ratio", 1.0)
    return (
        InjectedFault(
            error_ratio=Fraction(str(ratio)),
            status=status,
            latency_s=_number(body, "latency_s", MAX_LATENCY_S),
            body=text,
            memory_mb=_number(body, "memory_mb", 1_000_000.0),
        ),
        kill,
    )


def _number(body: Json, name: str, most: float) -> float:
    value = body.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ApiError(400, f"{name} must be a number from 0 to {most:g}, not {value!r}")
    return float(value)
