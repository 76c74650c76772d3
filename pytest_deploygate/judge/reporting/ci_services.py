"""What CI services are told of a session: a summary, annotations and outputs for GitHub Actions, variables for others.

Sources: GitHub, "Workflow commands for GitHub Actions" (escaping, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY); GitLab,
"artifacts:reports:dotenv". Texts of checks and reasons are data everywhere: none can become a command or markup.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.printable import one_line
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import Outcome, PhaseVerdict
from pytest_deploygate.judge.reporting.session_result import SessionResult

OUTPUTS_VARIABLE: Final = "DEPLOYGATE_OUTPUTS"
"""Names a file that gets one ``DEPLOYGATE_NAME=value`` a line, as ``artifacts:reports:dotenv`` of GitLab reads it."""
_MOST_ANNOTATIONS: Final = 10
"""Of one step GitHub shows no more errors than these."""
_SUMMARY_BYTES: Final = 512 * 1024
"""GitHub drops a summary of more than 1024 KiB as a whole."""
_VALUE_BYTES: Final = 500
"""Of one variable: GitLab refuses a dotenv report of more than 5120 bytes, and the job with it."""
_MARKUP: Final = re.compile(r"[&<>|*_`\[\]()@#\\~!\"']")
_WHY: Final = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): (?P<error>.*)", re.DOTALL)


class CiServices:
    """The services of the job that this session runs in, by its ``variables``; ``write`` prints one line as it is."""

    def __init__(
        self,
        variables: Mapping[str, str],
        *,
        root: Path,
        clean: Callable[[str], str],
        write: Callable[[str], None],
    ) -> None:
        self._variables = variables
        self._root = root
        self._clean = clean
        self._write = write

    def report(
        self, environment: str, verdicts: Mapping[Phase, PhaseVerdict], ending: SessionResult
    ) -> None:
        """Tell of the end of a session; what cannot be written is left out, for it decides nothing."""
        named = {name: one_line(self._clean(text)) for name, text in outputs(ending).items()}
        if path := self._variables.get(OUTPUTS_VARIABLE):
            lines = (
                f"DEPLOYGATE_{name.upper().replace('-', '_')}={_shorten(value)}\n"
                for name, value in named.items()
            )
            _append(path, "".join(lines))
        if self._variables.get("GITHUB_ACTIONS") != "true":
            return
        for command in self._annotations(verdicts):
            self._write(command)
        if path := self._variables.get("GITHUB_OUTPUT"):
            _append(path, "".join(_output(name, value) for name, value in named.items()))
        if path := self._variables.get("GITHUB_STEP_SUMMARY"):
            text = [
                *self._summary(environment, ending),
                *self._gates(verdicts),
                *self._steps(ending.record),
                *self._failures(verdicts),
            ]
            _append(path, "\n".join(text) + "\n\n")

    def _annotations(self, verdicts: Mapping[Phase, PhaseVerdict]) -> Iterator[str]:
        """An error for each check that failed, where it stands in the repository."""
        found = [
            (check, why)
            for verdict in verdicts.values()
            for check, why in verdict.evidence.failures.items()
        ]
        for check, why in found[:_MOST_ANNOTATIONS]:
            match = _WHY.fullmatch(self._clean(why))
            if match is not None:
                place = f"file={_property(self._in_repository(match['file']))},line={match['line']}"
                yield f"::error {place},title={_property(check)}::{_data(match['error'])}"

    def _in_repository(self, file: str) -> str:
        with contextlib.suppress(ValueError, KeyError):
            workspace = Path(self._variables["GITHUB_WORKSPACE"]).resolve()
            return (self._root.resolve() / file).relative_to(workspace).as_posix()
        return file

    def _summary(self, environment: str, ending: SessionResult) -> Iterator[str]:
        """What the page of the job begins with: verdict and revisions."""
        text = self._markdown
        yield f"### {text(ending.verdict)}: {text(environment)}"
        yield ""
        yield text(ending.reason.sentence)
        yield ""
        record = ending.record
        facts = {
            "state": ending.state,
            "baseline": (record.baseline or "") if record else "",
            "candidate": (record.candidate or "") if record else "",
            "serving": (record.serving or "") if record else ending.serving,
            "rollout": record.rollout_id if record else "",
            "url": record.url if record else "",
        }
        yield "| | |"
        yield "| --- | --- |"
        for name, value in facts.items():
            if value:
                yield f"| {name} | {text(value)} |"

    def _gates(self, verdicts: Mapping[Phase, PhaseVerdict]) -> Iterator[str]:
        if not any(verdict.gates for verdict in verdicts.values()):
            return
        yield ""
        yield "| phase | gate | outcome | passed | needs |"
        yield "| --- | --- | --- | --- | --- |"
        for phase, verdict in verdicts.items():
            for result in verdict.gates:
                mark = "✅" if result.outcome is Outcome.PASSED else "❌"
                needs = f"{float(result.gate.threshold):g}"
                yield (
                    f"| {phase.value} | {self._markdown(result.gate.name)} | {mark} {result.outcome.value} "
                    f"| {result.score} | {needs} |"
                )

    def _steps(self, record: RolloutRecord | None) -> Iterator[str]:
        """The judged steps, and what rules that only warn would have decided."""
        if record is None:
            return
        if record.steps:
            yield ""
            yield "| step | decision | candidate requests | baseline requests | because |"
            yield "| --- | --- | --- | --- | --- |"
        for step in record.steps:
            yield (
                f"| {step.percent} % | {step.decision} | {step.candidate_requests} "
                f"| {step.baseline_requests} | {self._markdown(step.reason)} |"
            )
        for sentence in record.warnings.values():
            yield f"\n- only warned: {self._markdown(sentence)}"

    def _failures(self, verdicts: Mapping[Phase, PhaseVerdict]) -> Iterator[str]:
        """A line for each check that failed, as many as the summary has room for."""
        found = [one for v in verdicts.values() for one in v.evidence.failures.items()]
        left = _SUMMARY_BYTES
        for number, (check, why) in enumerate(found):
            line = f"\n- {self._markdown(check)}: {self._markdown(why)}"
            left -= len(line.encode())
            if left < 0:
                yield f"\nand {len(found) - number} more failing checks: see the JUnit file"
                return
            yield line

    def _markdown(self, value: str) -> str:
        """``value`` as plain text in Markdown: what would be markup, a mention or a cell is written by its number."""
        plain = one_line(self._clean(value))
        return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", plain)


def outputs(ending: SessionResult) -> dict[str, str]:
    """What later steps of a job may read, by name; what is not known is empty."""
    record = ending.record
    return {
        "state": ending.state,
        "verdict": ending.verdict,
        "reason": ending.reason.sentence,
        "candidate-revision": (record.candidate or "") if record else "",
        "serving-revision": (record.serving or "") if record else ending.serving,
        "url": record.url if record else "",
        "rollout-id": record.rollout_id if record else "",
    }


def _output(name: str, value: str) -> str:
    end = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _shorten(value: str) -> str:
    raw = value.encode()
    if len(raw) <= _VALUE_BYTES:
        return value
    return raw[:_VALUE_BYTES].decode(errors="ignore") + "..."


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _append(path: str, text: str) -> None:
    with contextlib.suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


def services_of_this_job(
    root: Path, clean: Callable[[str], str], write: Callable[[str], None]
) -> CiServices:
    """Those that the variables of this process name."""
    return CiServices(os.environ, root=root, clean=clean, write=write)
