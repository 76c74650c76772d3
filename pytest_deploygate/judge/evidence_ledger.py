"""What the processes that run checks have seen, as the judge keeps it: the facts from which evidence is made.

Judges nothing. It hears each process by itself and believes of each only what one process can see: checks that this
process collected, one attempt after the other, in the phase that is running. Whatever does not fit is a doubt.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from pytest_deploygate.channel.messages import (
    AttemptEnded,
    Began,
    Bye,
    Collected,
    CollectedCheck,
    Doubt,
    Hello,
    Message,
    Passed,
)
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.evidence import (
    PLAIN_PASS,
    UNCOUNTED,
    CheckState,
    Evidence,
    ExpectedFailure,
    ReportFact,
    ReportOutcome,
    as_known_defect,
    fold,
)
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.membership import gate_among, gates_of_file
from pytest_deploygate.core.policy import Gate, Policy
from pytest_deploygate.judge.check import Check, facts_of, is_accepted
from pytest_deploygate.judge.check_runs import CheckTimes
from pytest_deploygate.telemetry.spans import CheckRun

_LONGEST_FAILURE = 500
_CRASH = ReportFact(when="crash", outcome=ReportOutcome.FAILED)


class CheckProcess:
    """One process that runs checks, as far as the ledger knows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.name = f"process {pid}"
        self.role = ""
        self.checks: tuple[str, ...] = ()
        """Node ids by the numbers that this process uses."""
        self.running: str | None = None
        self.has_ended = False


class EvidenceLedger:
    """Facts about the checks of a policy's gates; paths of gates are relative to ``root``."""

    def __init__(
        self,
        policy: Policy,
        root: Path,
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._policy = policy
        self._root = root
        self._today = today
        self.running_phase: Phase | None = None
        self.step = 0
        """Percent of the traffic at the step that is being judged, or was last."""
        self._gates: dict[str, tuple[Gate, ...]] = {}
        self._processes: dict[int, CheckProcess] = {}
        self._checks: dict[str, Check] = {}
        self._of_phase: dict[Phase, list[Check]] = {phase: [] for phase in Phase}
        self._facts: defaultdict[str, list[ReportFact]] = defaultdict(list)
        self._times = CheckTimes()
        self._told_by: dict[str, int] = {}
        self._measured: defaultdict[str, list[Measurement]] = defaultdict(list)
        self._asked: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._failures: dict[str, str] = {}
        self._mistakes_of: dict[str, str] = {}
        self._tampered: set[str] = set()
        self._defects: dict[str, str] = {}
        self._doubts: dict[str, None] = {}
        self._mistakes: dict[str, None] = {}
        self._of_platform: dict[Phase, tuple[Measurement, ...]] = {}
        self._reported: set[str] = set()

    # -- what is heard ---------------------------------------------------------------------------

    def hear(self, number: int, pid: int, message: Message) -> None:
        """Take one message of the connection ``number``, which the kernel says belongs to ``pid``."""
        process = self._processes.get(number)
        if isinstance(message, Hello):
            self._greet(number, pid, message, is_known=process is not None)
            return
        if process is None:
            self.mark_incomplete(f"process {pid} did not say who it is")
            return
        match message:
            case Collected():
                self._take(process, message)
            case Began(check=index):
                self._begin(process, index)
            case Passed(check=index):
                self._end(number, process, index, PLAIN_PASS)
            case AttemptEnded():
                self._end_with_facts(number, process, message)
            case Doubt(sentence=sentence, check=check):
                self._doubt(process, sentence, check)
            case Bye():
                process.has_ended = True
            case _:
                pass  # the session's answers to orders, which whoever ordered reads

    def hear_nonsense(self, pid: int, problem: str) -> None:
        """Something came over the channel that is no message."""
        self.mark_incomplete(f"process {pid} sent what cannot be read: {problem}")

    def hear_end(self, number: int, pid: int) -> None:
        """A connection has ended; a check that ran in that process has crashed with it."""
        process = self._processes.get(number)
        if process is None:
            self.mark_incomplete(f"process {pid} opened the channel and said nothing")
            return
        where = ""
        if process.running is not None:
            self._facts[process.running].append(_CRASH)
            where = f" while {process.running} ran"
            process.running = None
        if not process.has_ended:
            self.mark_incomplete(f"{process.name} died{where}")
        process.has_ended = True

    def _greet(self, number: int, pid: int, hello: Hello, *, is_known: bool) -> None:
        process = self._processes[number] = CheckProcess(pid)
        process.role = hello.role
        process.name = f"worker {hello.worker}" if hello.role == "worker" else "the session"
        if hello.role == "worker" and any(
            one.role == "session" and one.checks for one in self._processes.values()
        ):
            self.mark_incomplete(
                f"process {pid} claims to be a worker, but the session runs its checks itself"
            )
        if hello.pid != pid or is_known:
            self.mark_incomplete(f"process {pid} is not the process that it claims to be")
        if hello.optimize:
            self.mark_incomplete(
                f"assert statements do not run in {process.name}: PYTHONOPTIMIZE or -O"
            )

    def _take(self, process: CheckProcess, collected: Collected) -> None:
        if process.checks:
            self.mark_incomplete(f"{process.name} told twice what it collected")
        process.checks = tuple(check.nodeid for check in collected.checks)
        known = [c for c in map(self._check, collected.checks) if c is not None]
        if self._checks:
            if {c.nodeid for c in known} != self._checks.keys():
                self.mark_incomplete(f"{process.name} collected different checks")
        else:
            self._take_inventory(known)
        for sentence in collected.doubts:
            self.mark_incomplete(sentence)
        self._mistakes |= dict.fromkeys(collected.mistakes)

    def _check(self, collected: CollectedCheck) -> Check | None:
        gates = self._gates.get(collected.path)
        if gates is None:
            gates = self._gates[collected.path] = gates_of_file(
                self._policy, self._root, Path(collected.path)
            )
        try:
            gate = gate_among(gates, collected.nodeid, collected.markers)
        except ConfigError as error:
            self.mark_incomplete(error.message)
            return None
        if gate is None:
            return None
        if collected.defect and is_accepted(collected.defect, self._today()):
            self._defects[collected.nodeid] = collected.defect
        if gate.phase is Phase.STEP and not collected.step:
            self.mark_incomplete(
                f"{collected.nodeid} belongs to the step gate {gate.name}, but cannot run at each step: write it as a "
                "function, or as a method of a class that is no unittest.TestCase"
            )
        return Check(nodeid=collected.nodeid, gate=gate.name, phase=gate.phase, step=collected.step)

    def _take_inventory(self, checks: Iterable[Check]) -> None:
        for check in checks:
            if check.nodeid in self._checks:
                self.mark_incomplete(f"{check.nodeid} was collected twice")
            else:
                self._of_phase[check.phase].append(check)
            self._checks[check.nodeid] = check

    def _nodeid(self, process: CheckProcess, index: int) -> str | None:
        if 0 <= index < len(process.checks):
            return process.checks[index]
        self.mark_incomplete(f"{process.name} ran a test that it had not collected")
        return None

    def _begin(self, process: CheckProcess, index: int) -> None:
        nodeid = self._nodeid(process, index)
        if process.running is not None:
            self._facts[process.running].append(_CRASH)
        process.running = nodeid
        self._times.begin(nodeid or "")
        check = self._checks.get(nodeid or "")
        if check is None:
            return
        if check.phase is not self.running_phase:
            self.mark_incomplete(f"{check.nodeid} ran outside of the {check.phase.value} phase")
        elif check.phase is Phase.STEP and check.step != self.step:
            self.mark_incomplete(f"{check.nodeid} ran at the step of {self.step} %")

    def _end(
        self, number: int, process: CheckProcess, index: int, facts: tuple[ReportFact, ...]
    ) -> str | None:
        nodeid = self._nodeid(process, index)
        if nodeid is None:
            return None
        if process.running != nodeid:
            self._doubt(process, f"{nodeid} is told to have ended, but it was not running", nodeid)
        process.running = None
        self._times.end(nodeid)
        if self._told_by.setdefault(nodeid, number) != number:
            self.mark_incomplete(f"{nodeid} was told by two processes")
        self._facts[nodeid].extend(facts)
        return nodeid

    def _end_with_facts(self, number: int, process: CheckProcess, ended: AttemptEnded) -> None:
        try:
            facts = facts_of(ended)
        except ValueError as error:
            self.mark_incomplete(f"{process.name}: {error}")
            return
        nodeid = self._end(number, process, ended.check, facts)
        if nodeid is None:
            return
        if ended.why:
            self._failures[nodeid] = ended.why[:_LONGEST_FAILURE]
        self._mistakes_of[nodeid] = ended.mistake
        for kind, count in ended.asked.items():
            self._asked[nodeid][kind] = self._asked[nodeid].get(kind, 0) + count
        for one in ended.measured:
            try:
                measured = Measurement.from_json(one._asdict())
            except (TypeError, ValueError, KeyError) as error:
                self.mark_incomplete(f"{nodeid}: a measurement cannot be read: {error}")
            else:
                self._measured[nodeid].append(replace(measured, check=nodeid))

    def _doubt(self, process: CheckProcess, sentence: str, check: str) -> None:
        del process
        if check:
            self._tampered.add(check)
        self.mark_incomplete(sentence)

    # -- doubts ----------------------------------------------------------------------------------

    def mark_incomplete(self, sentence: str) -> None:
        """Note something that makes the evidence of the whole session incomplete."""
        self._doubts[sentence] = None

    def mark_cause(self, sentence: str, *, after: int) -> None:
        """Note what made the evidence incomplete, before all that came of it: behind the first ``after`` doubts."""
        told = list(self._doubts)
        self._doubts = dict.fromkeys([*told[:after], sentence, *told[after:]])

    @property
    def doubts(self) -> tuple[str, ...]:
        """All doubts, oldest first."""
        return tuple(self._doubts)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """What is wrong with the checks themselves, as far as collection shows it."""
        return tuple(self._mistakes)

    # -- inventory -------------------------------------------------------------------------------

    def checks_of(self, phase: Phase) -> tuple[Check, ...]:
        """Checks of a phase in the order of collection; of the step phase, those of the current step."""
        found = self._of_phase[phase]
        return (
            tuple(c for c in found if c.step == self.step) if phase is Phase.STEP else tuple(found)
        )

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks in the order of collection."""
        return tuple(self._checks.values())

    @property
    def inventory(self) -> dict[str, tuple[str, ...]]:
        """Check ids of every gate of the policy, also of empty ones."""
        return {
            gate.name: tuple(c.nodeid for c in self._checks.values() if c.gate == gate.name)
            for gate in self._policy.gates
        }

    @property
    def known_defects(self) -> dict[str, str]:
        """Checks that are marked as known defects, each with last day and reason."""
        return {nodeid: text for nodeid, text in self._defects.items() if nodeid in self._checks}

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the checks are written in, relative to pytest's root directory, each once."""
        return tuple(dict.fromkeys(nodeid.partition("::")[0] for nodeid in self._checks))

    def state_of(self, nodeid: str) -> CheckState:
        """What a check came to as far as is known."""
        if nodeid in self._tampered:
            return CheckState.FAILED
        state = fold(self._facts.get(nodeid, ()))
        return as_known_defect(state) if nodeid in self._defects else state

    def take_runs(self) -> tuple[CheckRun, ...]:
        """The checks that began since the last call, with what they came to and when."""
        return self._times.take_runs(self.checks, self.state_of, self._failures)

    def take_not_run(self, phase: Phase) -> tuple[str, ...]:
        """Checks of a phase that did not run to their end, each named once."""
        found = tuple(
            c.nodeid
            for c in self._of_phase[phase]
            if c.nodeid not in self._reported and self.state_of(c.nodeid) is CheckState.NOT_RUN
        )
        self._reported.update(found)
        return found

    # -- evidence --------------------------------------------------------------------------------

    def set_measurements(self, phase: Phase, measurements: Iterable[Measurement]) -> None:
        """Take what the platform itself measured for ``phase``, instead of what it said before."""
        self._of_platform[phase] = tuple(measurements)

    def _answers(self, gate: Gate) -> int:
        """How many requests of a gate's checks were answered by what they judge.

        That is the candidate or the verification revision; at a step, the public URL as well.
        """
        kinds = ("candidate", "verification", *(["live"] if gate.phase is Phase.STEP else []))
        asked = [
            self._asked.get(c.nodeid, {}) for c in self.checks_of(gate.phase) if c.gate == gate.name
        ]
        return sum(one.get(kind, 0) for one in asked for kind in kinds)

    def count_answers_to(self, nodeid: str) -> Mapping[str, int]:
        """How many answers a check was given, by the kind of endpoint."""
        return self._asked.get(nodeid, {})

    def evidence(self, phase: Phase) -> Evidence:
        """The evidence of one phase as it stands now; of the step phase, that of the current step."""
        of_phase = self.checks_of(phase)
        states: dict[str, list[tuple[str, CheckState]]] = {
            gate.name: [] for gate in self._policy.gates_of(phase)
        }
        for check in of_phase:
            states[check.gate].append((check.nodeid, self.state_of(check.nodeid)))
        measured = [m for c in of_phase for m in self._measured[c.nodeid]]
        return Evidence(
            phase=phase,
            checks={name: tuple(found) for name, found in states.items()},
            measurements=(*measured, *self._of_platform.get(phase, ())),
            doubts=self.doubts,
            expected_failures=tuple(self._expected_failures(phase)),
            answers={gate.name: self._answers(gate) for gate in self._policy.gates_of(phase)},
            failures={
                c.nodeid: self._failures[c.nodeid] for c in of_phase if c.nodeid in self._failures
            },
            mistakes=frozenset(
                c.nodeid
                for gate in self._policy.gates_of(phase)
                for c in self._of_phase[phase]
                if c.gate == gate.name and c.is_mistaken(gate, self._mistakes_of.get(c.nodeid, ""))
            ),
        )

    def _expected_failures(self, phase: Phase) -> Iterator[ExpectedFailure]:
        for check in self.checks_of(phase):
            state, text = self.state_of(check.nodeid), self._defects.get(check.nodeid)
            if text is not None and state in UNCOUNTED:
                is_gone = state is CheckState.DEFECT_GONE
                yield ExpectedFailure(check=check.nodeid, text=text, is_gone=is_gone)
