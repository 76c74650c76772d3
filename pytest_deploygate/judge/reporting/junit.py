"""The JUnit XML file: what the session's pytest wrote, with the judge's verdict, properties and states of checks.

The session writes its file into a folder of the judge; CI's file is written here alone, first as PENDING, so that a
session that dies leaves no green file. All checks of the inventory stand in it, also those that never ran.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from pytest_deploygate.core.errors import ConfigError, ExitStatus
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.property_names import GATE_PROPERTY, STATE_PROPERTY
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import PhaseVerdict
from pytest_deploygate.judge.check import Check
from pytest_deploygate.judge.reporting.session_result import SessionResult

SCHEMA: Final = "1"
"""Version of the ``deploygate.*`` properties."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILING: Final = ("failure", "error", "skipped")


class JUnitWriter:
    """The file at ``path`` (empty for none), written as often as something is known."""

    def __init__(self, path: str, clean: Redactor) -> None:
        self._path = Path(path) if path else None
        self._clean = clean

    def check_writable(self) -> None:
        """Make sure that the file can be written before anything else is touched, and empty it.

        What an earlier run wrote must not speak for this one, should it die.

        Raises:
            ConfigError: it cannot.
        """
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("w", encoding="utf-8") as file:
                file.write("\n")  # a full disk says so only now
        except OSError as error:
            raise ConfigError(
                f"the JUnit file {self._path} cannot be written: {error.strerror}",
                hint="name another place with --junitxml=PATH",
            ) from error

    def write(
        self,
        ending: SessionResult,
        named: Mapping[str, str],
        *,
        written: bytes = b"",
        checks: Iterable[Check] = (),
        state_of: Callable[[str], CheckState] = lambda _: CheckState.NOT_RUN,
    ) -> str:
        """Write the file anew: ``written`` by the session, with what the judge has to say; returns what went wrong.

        ``named`` are properties of the suite; ``state_of`` tells what became of each of ``checks``.
        """
        if self._path is None:
            return ""
        root, suite, problem = _parse_document(written)
        self._set_properties(suite, named)
        _mark_checks(suite, checks, state_of)
        self._add_verdict(suite, ending)
        _count(suite)
        if written:
            self._clean_all(root)
        try:
            self._path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
        except OSError as error:
            return f"the JUnit file {self._path} cannot be written: {error.strerror}"
        return problem

    def _text(self, text: str) -> str:
        return _NOT_XML.sub("?", self._clean(text))

    def _clean_all(self, root: ET.Element) -> None:
        """Mask secrets in whatever the session wrote: a plugin's properties never pass through a report."""
        clean = cache(self._clean)  # most texts stand there again and again
        for element in root.iter():
            for name, value in element.items():
                if (cleaned := clean(value)) != value:
                    element.set(name, cleaned)
            if element.text:
                element.text = clean(element.text)

    def _set_properties(self, suite: ET.Element, named: Mapping[str, str]) -> None:
        group = suite.find("properties")
        if group is None:
            group = ET.Element("properties")
            suite.insert(0, group)
        for found in [p for p in group if str(p.get("name")).startswith("deploygate.")]:
            group.remove(found)
        for name, value in named.items():
            ET.SubElement(group, "property", name=self._text(name), value=self._text(value))

    def _add_verdict(self, suite: ET.Element, ending: SessionResult) -> None:
        """One testcase of its own, for what reads no properties: it fails when the session did not end well."""
        for forged in [c for c in suite.iter("testcase") if c.get("classname") == "deploygate"]:
            forged.set("classname", "session.deploygate")
        case = ET.SubElement(
            suite, "testcase", classname="deploygate", name="verdict", time="0.000"
        )
        if ending.status is ExitStatus.OK:
            return
        message = self._text(f"{ending.verdict}: {ending.reason.sentence}")
        failure = ET.SubElement(case, "failure", message=message)
        failure.text = self._text("\n".join([message, *(r.sentence for r in ending.others)]))


def _parse_document(written: bytes) -> tuple[ET.Element, ET.Element, str]:
    """The document and its suite; a new one where there is none that can be read."""
    problem = ""
    if written.strip():
        with contextlib.suppress(ET.ParseError):
            root = ET.fromstring(written)  # noqa: S314
            suite = root if root.tag == "testsuite" else root.find("testsuite")
            if suite is not None:
                for other in [one for one in root if one is not suite and root is not suite]:
                    root.remove(other)  # pytest writes one
                return root, suite, ""
        problem = (
            "the session's JUnit file could not be read; the checks are listed without their output"
        )
    root = ET.Element("testsuites", name="pytest tests")
    return root, ET.SubElement(root, "testsuite", name="pytest", time="0.000"), problem


def _mark_checks(
    suite: ET.Element, checks: Iterable[Check], state_of: Callable[[str], CheckState]
) -> None:
    """Give each check its gate and state, once, and make none look better than it was."""
    cases: defaultdict[tuple[str, str], list[ET.Element]] = defaultdict(list)
    for case in suite.iter("testcase"):
        _drop_properties(case)
        cases[str(case.get("classname")), str(case.get("name"))].append(case)
    for check in checks:
        classname, name = _address(check.nodeid)
        found = cases.get((classname, name)) or [
            case
            for (known, its), some in cases.items()
            if its == name and known.endswith(f".{classname}")
            for case in some
        ]
        if not found:
            found = [ET.SubElement(suite, "testcase", classname=classname, name=name, time="0.000")]
        for case in found:
            _mark(case, check.gate, state_of(check.nodeid))


def _mark(case: ET.Element, gate: str, state: CheckState) -> None:
    group = ET.Element("properties")
    case.insert(0, group)
    ET.SubElement(group, "property", name=GATE_PROPERTY, value=gate)
    ET.SubElement(group, "property", name=STATE_PROPERTY, value=state.value)
    if any(case.find(tag) is not None for tag in _FAILING):
        return
    if state is CheckState.NOT_RUN:
        ET.SubElement(case, "skipped", message="it did not run to its end")
    elif state is CheckState.CRASHED:
        ET.SubElement(case, "error", message="its process died")
    elif state in (CheckState.FAILED, CheckState.ERROR):
        ET.SubElement(case, "failure", message="it did not hold, whatever was reported of it")


def _drop_properties(case: ET.Element) -> None:
    """What the session says of gates and states is not the judge's word."""
    for group in case.findall("properties"):
        for found in [p for p in group if p.get("name") in (GATE_PROPERTY, STATE_PROPERTY)]:
            group.remove(found)
        if not len(group):
            case.remove(group)


def _address(nodeid: str) -> tuple[str, str]:
    """``classname`` and ``name`` that pytest gives the testcase of ``nodeid``."""
    path, bracket, parameters = nodeid.partition("[")
    names = path.split("::")
    names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
    return ".".join(names[:-1]), _NOT_XML.sub(_escape, names[-1] + bracket + parameters)


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    return f"#x{code:02X}" if code <= 0xFF else f"#x{code:04X}"


def _count(suite: ET.Element) -> None:
    """The numbers that readers take instead of counting."""
    cases = list(suite.iter("testcase"))
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


def properties(
    environment: str,
    verdicts: Mapping[Phase, PhaseVerdict],
    ending: SessionResult,
) -> dict[str, str]:
    """The ``deploygate.*`` properties of a suite; what is not known is an empty text."""
    record = ending.record
    last = list(verdicts.values())[-1] if verdicts else None
    named = {
        "schema": SCHEMA,
        "rollout_id": record.rollout_id if record else "",
        "environment": environment,
        "verdict": ending.verdict,
        "state": ending.state,
        "reason_code": ending.reason.code.value,
        "reason": ending.reason.sentence,
        "reasons": "\n".join(r.sentence for r in (ending.reason, *ending.others)),
        "score": f"{float(last.score):.6f}" if last else "",
        "threshold": f"{float(last.threshold):g}" if last else "",
        "baseline_revision": (record.baseline or "") if record else "",
        "fresh_baseline_revision": (record.fresh_baseline or "") if record else "",
        "candidate_revision": (record.candidate or "") if record else "",
        "serving_revision": (record.serving or "") if record else ending.serving,
        "backup_identifier": record.backup if record else "",
        "rollback_seconds": f"{record.rollback_s:.3f}"
        if record and record.rollback_s is not None
        else "",
        "drill_seconds": f"{record.drill_s:.3f}" if record and record.drill_s is not None else "",
        "checks_digest": record.checks_digest if record else "",
    }
    for verdict in verdicts.values():
        for result in verdict.gates:
            named[f"gate.{result.gate.name}"] = f"{result.score} {result.outcome.value}"
        for failure in verdict.evidence.expected_failures:
            named[f"known_defect.{failure.check}"] = str(failure)
    for step in record.steps if record else ():
        told = f"step.{step.percent}"
        named[f"{told}.decision"] = step.decision
        named[f"{told}.reason"] = step.reason
        named[f"{told}.seconds"] = f"{step.seconds:.3f}"
        named[f"{told}.candidate_requests"] = str(step.candidate_requests)
        named[f"{told}.baseline_requests"] = str(step.baseline_requests)
        named |= {f"{told}.objective.{name}": text for name, text in step.objectives.items()}
        named |= {f"{told}.gate.{name}": text for name, text in step.gates.items()}
    for rule, text in record.warnings.items() if record else ():
        named[f"warning.{rule}"] = text
    overrides = record.overrides if record else {}
    named |= {f"override.{gate}": why for gate, why in overrides.items()}
    return {f"deploygate.{name}": value for name, value in named.items()}
