"""Looks at every answer that a check receives: none may show variables, secrets, or the inside of the function."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.probe import Answer
from pytest_deploygate.targets.secret_scan import scan_file

LEAST_LENGTH = 8
"""Shorter values of variables are words that any answer may hold."""
INSIDE = (
    *("Traceback (most recent call last)", 'File "', "/workspace", "site-packages", "environ({"),
    *("FUNCTION_TARGET", "FUNCTION_SOURCE", "GOOGLE_APPLICATION_CREDENTIALS", "PYTHONPATH"),
)


@dataclass(slots=True)
class AnswerLeaks:
    """What answers showed that they may not. Threads may share it.

    ``hidden`` are the values of variables; ``shown`` names the fields that may hold them: where rows were written.
    """

    hidden: frozenset[str]
    shown: tuple[str, ...] = ()
    _found: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look_at(self, answer: Answer) -> None:
        """Note what an answer shows."""
        text = answer.text
        for name in self.shown:
            if isinstance(value := answer.value(name), str):
                text = text.replace(value, "")
        told = f"{text} {dict(answer.headers)}"
        found = [f"{value!r}" for value in (*sorted(self.hidden), *INSIDE) if value in told]
        found += [f"what looks like {it.looks_like}" for it in scan_file("", told.encode())]
        if found:
            with self._lock:
                self._found.append(f"HTTP {answer.status} shows {', '.join(found)}: {text[:200]}")

    def take(self) -> list[str]:
        """What was found since this was asked last."""
        with self._lock:
            found, self._found = self._found, []
        return found


def hidden_values(deployment: Deployment) -> frozenset[str]:
    """Values of the function's variables that are long enough to be looked for."""
    tables: Iterable[Mapping[str, str]] = (
        deployment.verify_variables,
        deployment.production_variables,
        *deployment.variant_variables.values(),
    )
    return frozenset(v for table in tables for v in table.values() if len(v) >= LEAST_LENGTH)
