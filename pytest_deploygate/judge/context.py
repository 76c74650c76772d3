"""What every flow of a session works with: settings, ledger, the session, terminal; and judging a phase."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from pytest_deploygate.channel.messages import Opinion
from pytest_deploygate.channel.orders import TellFinished, TellVerdict
from pytest_deploygate.checks.configuration import configuration_of
from pytest_deploygate.checks.deployment import Deployment, Previous
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Phase, Secret
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.core.own_tags import TAG_FRESH, TAG_LIVE_VERIFY, TAG_PREVIOUS
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode, judge_phase, reconcile
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import Staged
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from pytest_deploygate.judge.judge_hooks import JudgeHooks
from pytest_deploygate.judge.judge_telemetry import JudgeTelemetry
from pytest_deploygate.judge.options import DeployOptions
from pytest_deploygate.judge.reporting.terminal import Terminal
from pytest_deploygate.judge.session_process import SessionOver, SessionProcess
from pytest_deploygate.judge.source_watch import SourceWatch
from pytest_deploygate.ports import Target
from pytest_deploygate.system.signal_guard import SignalGuard
from pytest_deploygate.wiring import GOOGLE_SERVICES

logger = logging.getLogger(__name__)

PHASES = tuple(Phase)


class StatisticsSource(Protocol):
    """Adds what the platform itself measured to the evidence of a phase."""

    def add(self, phase: Phase, deployment: Deployment) -> None:
        """Tell the recorder; raises nothing of the platform's."""
        ...


@dataclass(slots=True, kw_only=True)
class SessionContext:
    """One session's shared tools. ``verdicts`` has the phases that were judged, in order."""

    options: DeployOptions
    settings: Settings
    environment: Environment
    recorder: EvidenceLedger
    session: SessionProcess
    hooks: JudgeHooks
    terminal: Terminal
    telemetry: JudgeTelemetry
    redactor: Redactor
    signals: SignalGuard
    at_end: contextlib.ExitStack
    """Closed when the last word has been said: waits for what has been told to end."""
    verdicts: dict[Phase, PhaseVerdict] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    """What the candidate phase of the last promoted rollout measured, by name."""
    statistics: StatisticsSource | None = None
    """The platform's own; None where nothing can be asked."""
    watch: SourceWatch | None = None
    """What the checks and the source were; None until the checks are collected."""
    asked: dict[Phase, Deployment] = field(default_factory=dict)
    """What the checks of each phase were given."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the record and the JUnit file should say besides the verdict, by name."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that this session judges; ``-m rollback-checks`` leaves the others out by itself."""
        return (Phase.LIVE,) if self.options.mode is Mode.ROLLBACK_CHECKS else PHASES

    def run_phase(self, phase: Phase, deployment: Deployment) -> PhaseVerdict:
        """Run one phase and judge it.

        Raises:
            SessionOver: the session ended before the checks had run.
        """
        count = len(self.recorder.checks_of(phase))
        self.terminal.step("checks", f"{count} of the {phase.value} phase")
        self.terminal.rest()
        self.redactor.learn(_tokens_of(deployment))
        self.asked[phase] = deployment
        budget_s = float(self.settings.policy.phases[phase].budget_s)
        deployment = self.telemetry.begin_phase(deployment)
        known, began = len(self.recorder.doubts), time.monotonic()
        try:
            try:
                with self.signals.deliver_signals():
                    is_in_time = self.session.run_phase(phase, deployment, budget_s)
            except SessionOver:
                # what interrupts a check that has no time left may break a plugin, and with it the session
                if time.monotonic() - began > budget_s:
                    self._note_budget(phase, budget_s, known)
                raise
            if not is_in_time:
                self._note_budget(phase, budget_s, known)
            if self.statistics is not None and phase not in (Phase.READINESS, Phase.STEP):
                self.statistics.add(phase, deployment)
        except BaseException:
            # cut short: what was seen up to here belongs to the record, though nothing is decided by it
            policy = self.settings.policy
            self.verdicts[phase] = judge_phase(policy, self.recorder.evidence(phase))
            self.telemetry.end_phase(None)
            raise
        verdict = self.judge(phase)
        self.telemetry.end_phase(verdict)
        self.terminal.phase(verdict)
        return verdict

    def _note_budget(self, phase: Phase, budget_s: float, known: int) -> None:
        """The budget is the cause of every doubt since there were ``known`` ones."""
        sentence = f"the {phase.value} phase took longer than its budget of {budget_s:g} s"
        self.recorder.mark_cause(sentence, after=known)

    def note(self, name: str, text: str) -> None:
        """Have the record and the JUnit file say ``text``."""
        self.notes[name] = text

    def judge(self, phase: Phase) -> PhaseVerdict:
        """The verdict of one phase on the evidence as it stands now.

        Hooks of the judge's plugins and of the project may turn it down; neither can turn it up.
        """
        policy, overrides = self.settings.policy, dict(self.options.overrides)
        for sentence in self.watch.changes() if self.watch is not None else ():
            self.recorder.mark_incomplete(sentence)
        evidence = self.recorder.evidence(phase)
        own = judge_phase(policy, evidence)
        verdict = reconcile(policy, own, self.hooks.decide(policy, evidence), overrides)
        opinion = self.session.decide(evidence)
        if opinion is not None:
            verdict = self._heard(own, verdict, opinion)
        self.verdicts[phase] = verdict
        return verdict

    def _heard(self, own: PhaseVerdict, verdict: PhaseVerdict, opinion: Opinion) -> PhaseVerdict:
        """``verdict`` with what the project's hook thinks of it: it can only turn it down."""
        if opinion.error:
            self.recorder.mark_incomplete(f"pytest_deploygate_decide broke: {opinion.error}")
            evidence = self.recorder.evidence(own.evidence.phase)
            return judge_phase(self.settings.policy, evidence)
        is_overridden = verdict.holds and not own.holds
        if not opinion.is_given or (opinion.holds and is_overridden):
            return verdict
        reasons = tuple(_reason(code, sentence) for code, sentence in opinion.reasons)
        known = {(r.code, r.sentence) for r in own.reasons}
        if not (opinion.holds or own.holds) and {(r.code, r.sentence) for r in reasons} <= known:
            return verdict  # it says what the policy says
        custom = replace(own, holds=opinion.holds, reasons=reasons or own.reasons)
        return reconcile(self.settings.policy, verdict, custom, {})

    def tell_left_out(self, package: Package) -> None:
        """What looks like a secret and is packed all the same; with ``-v``, what was not packed, and why."""
        allowed = [f"{place}: {reason}" for place, reason in package.allowed_secrets]
        for text in allowed:
            self.terminal.step("allowed", text)
        if allowed:
            self.note("allowed_secrets", "; ".join(allowed))
        if self.terminal.verbosity > 0:
            for name, reason in package.left_out:
                self.terminal.step("left out", f"{name}: {reason}")

    def tell_verdict(self, record: RolloutRecord, verdict: PhaseVerdict) -> None:
        """Let everybody know of a phase's verdict."""
        self._tell(lambda: self.hooks.verdict(record, verdict))
        self._note_hook(self.session.tell(TellVerdict(record=record, verdict=verdict)))

    def tell_finished(self, record: RolloutRecord) -> None:
        """Let everybody know that a rollout has ended."""
        for problem in self.telemetry.record_end(record):
            self.terminal.line(
                f"deploygate: note: not everything was recorded: {problem}", yellow=True
            )
        self._tell(lambda: self.hooks.tell_finished(record))
        self._note_hook(self.session.tell(TellFinished(record=record)))

    def _tell(self, call: Callable[[], object]) -> None:
        """Who is told cannot change what was decided or keep it from being done."""
        try:
            call()
        except Exception as error:
            logger.exception("hook.failed")
            self._note_hook(f"{type(error).__name__}: {error}")

    def _note_hook(self, problem: str) -> None:
        if problem:
            self.terminal.line(f"deploygate: note: a hook failed: {problem}", yellow=True)

    def skip_rest(self, reason: Reason) -> None:
        """Report every check that has not run as skipped, with the reason."""
        for phase in self.phases:
            self.session.skip(self.recorder.take_not_run(phase), f"not run: {reason.sentence}")

    def remember(self, last: RolloutRecord | None) -> None:
        """Take what the last promoted rollout measured, for checks that compare with it."""
        for measured in last.measurements.get(Phase.CANDIDATE, ()) if last is not None else ():
            self.baseline[measured.label] = float(measured.value)

    # -- what the checks are given ---------------------------------------------------------------

    def configuration_only(self, phase: Phase = Phase.READINESS) -> Deployment:
        """A deployment without any endpoint."""
        known = configuration_of(self.environment, phase, self.environment.spec.memory)
        return replace(known, baseline=dict(self.baseline))

    def ready(self, target: Target, snapshot: Snapshot) -> Deployment:
        """What readiness checks are given where the target can be asked; fetches the backup of what serves."""
        return replace(self.configuration_only(), previous=_previous(target, snapshot))

    def deployment_of(
        self, target: Target, staged: Staged, snapshot: Snapshot, phase: Phase
    ) -> Deployment:
        """The deployment that checks of a candidate are given; in the live phase the candidate serves.

        At a step either revision may answer the public URL, so none is expected there.
        """
        token = None if self._is_open(snapshot, phase) else target.call_token()
        serving = staged.candidate if phase is Phase.LIVE else snapshot.baseline
        if phase is Phase.STEP:
            serving = None
        base = self.configuration_only(phase)
        return self._add_services(
            replace(
                base,
                candidate=Endpoint(
                    url=staged.candidate_url,
                    revision=staged.candidate,
                    token=token,
                    may_write=staged.verification == staged.candidate,
                ),
                verification=Endpoint(
                    url=staged.verification_url,
                    revision=staged.verification,
                    token=token,
                    may_write=True,
                ),
                variants={
                    name: Endpoint(url=one.url, revision=one.revision, token=token, may_write=True)
                    for name, one in staged.variants.items()
                },
                live=Endpoint(
                    url=snapshot.url, revision=serving or "", token=token, may_write=False
                )
                if snapshot.exists or phase is Phase.LIVE
                else None,
                before=self._baseline_endpoint(target, snapshot, token),
            )
        )

    def deployment_at_step(self, rollout: Rollout, staged: Staged) -> Deployment:
        """The deployment that checks of the step phase are given, with the revision that the step compares with."""
        target, record = rollout.ports.target, rollout.record
        assert rollout.step is not None
        known = self.deployment_of(target, staged, rollout.snapshot, Phase.STEP)
        tag = TAG_PREVIOUS if record.fresh_baseline is None else TAG_FRESH
        now = target.snapshot()
        compared = dict(now.traffic.tags).get(tag)
        if compared is not None and known.candidate is not None:
            endpoint = Endpoint(
                url=now.tag_urls[tag],
                revision=compared,
                token=known.candidate.token,
                may_write=False,
            )
            known = replace(known, compared=endpoint)
        return replace(known, step_percent=rollout.step.percent)

    def _baseline_endpoint(
        self, target: Target, snapshot: Snapshot, token: Secret | None
    ) -> Endpoint | None:
        """The verification revision of what serves, if it writes where the candidate's does and nowhere else."""
        name = dict(snapshot.traffic.tags).get(TAG_LIVE_VERIFY)
        info = target.revision(name) if name is not None else None
        if name is None or info is None or not info.is_ready:
            return None
        wanted = self.environment.spec.verify_variables
        if any(info.variables.get(key) != value for key, value in wanted.items()):
            return None
        url = snapshot.tag_urls[TAG_LIVE_VERIFY]
        return Endpoint(url=url, revision=name, token=token, may_write=True)

    def _is_open(self, snapshot: Snapshot, phase: Phase) -> bool:
        return snapshot.is_public or (phase is Phase.LIVE and self.environment.spec.public)

    def serving_deployment(self, target: Target, snapshot: Snapshot, phase: Phase) -> Deployment:
        """The deployment that checks of what serves now are given."""
        token = None if snapshot.is_public else target.call_token()
        revision = snapshot.baseline or ""
        live = Endpoint(url=snapshot.url, revision=revision, token=token, may_write=False)
        verify = dict(snapshot.traffic.tags).get(TAG_LIVE_VERIFY)
        verification: Endpoint | None = None
        if verify is not None:
            verification = Endpoint(
                url=snapshot.tag_urls[TAG_LIVE_VERIFY], revision=verify, token=token, may_write=True
            )
        elif not self.environment.spec.has_verification:
            verification = replace(live, may_write=True)
        return self._add_services(
            replace(
                self.configuration_only(phase), candidate=live, verification=verification, live=live
            )
        )

    def _add_services(self, deployment: Deployment) -> Deployment:
        """Add where the platform's services and statistics are."""
        from pytest_deploygate.wiring import services_token, start_emulator

        if self.environment.target == LOCAL:
            endpoint = start_emulator(self.settings, self.environment).endpoint
            services: Mapping[str, str] = {"sheets": endpoint}
            statistics = endpoint
        else:
            services, statistics = GOOGLE_SERVICES, ""
        return replace(
            deployment,
            services={**services, **self.environment.services},
            statistics_url=statistics,
            access_token=services_token(self.environment),
        )


def _previous(target: Target, snapshot: Snapshot) -> Previous:
    if not snapshot.exists:
        return Previous()
    revision = snapshot.baseline
    if revision is None:
        return Previous(problem=f"traffic is split: {snapshot.serving}")
    info = target.revision(revision)
    known = Previous(revision=revision, is_ready=info is not None and info.is_ready)
    try:
        backup = target.backup(snapshot)
    except DeployGateError as error:
        return replace(known, problem=str(error))
    return replace(known, backup=backup.path, sha256=backup.sha256)


def _tokens_of(deployment: Deployment) -> list[str]:
    """What checks could show by mistake."""
    endpoints = (deployment.candidate, deployment.verification, deployment.live)
    tokens = [deployment.access_token, *(e.token for e in endpoints if e is not None)]
    return [token.reveal() for token in tokens if token is not None]


def _reason(code: str, sentence: str) -> Reason:
    known = {c.value for c in ReasonCode}
    return Reason(code=ReasonCode(code) if code in known else ReasonCode.CUSTOM, sentence=sentence)
