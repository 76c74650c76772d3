"""``--deploy-plan``: what would be done, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import Phase, RevisionName
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_FRESH, TAG_VERIFY
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.traffic import Traffic, steps_to
from pytest_deploygate.core.variant_tags import variant_tag
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.deploy_plan import DeployPlan, build_plan
from pytest_deploygate.judge.policy_ratchet import find_ratchet
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.result import result_of_empty_session, result_of_error
from pytest_deploygate.judge.session_process import SessionOver
from pytest_deploygate.wiring import open_ports


class PlanFlow:
    """``--deploy-plan``: readiness, then what would be done; changes nothing."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._error: DeployGateError | None = None
        self._lines: tuple[str, ...] = ()
        self._blocking: tuple[PreflightFinding, ...] = ()

    def run(self) -> None:
        """Run the readiness gates and render the plan."""
        context = self._context
        try:
            with open_ports(context.settings, context.environment) as ports:
                snapshot = ports.target.snapshot()
                context.run_phase(Phase.READINESS, context.ready(ports.target, snapshot))
                asked = context.options
                plan = build_plan(
                    ports,
                    context.environment,
                    context.settings.policy,
                    reason=asked.reason,
                    approval=asked.approval,
                )
                context.tell_left_out(plan.package)
                ratchet = find_ratchet(context, ports)
                if ratchet is not None:
                    plan = replace(plan, findings=(*plan.findings, ratchet))
                self._blocking = plan.blocking
                self._lines = tuple(_lines(plan, ports.target.spec, context.environment.engine))
        except SessionOver:
            return
        except DeployGateError as error:
            self._error = error
        context.skip_rest(Reason(code=ReasonCode.HELD, sentence="--deploy-plan changes nothing"))

    def conclude(self, *, is_complete: bool) -> SessionResult:
        """The readiness verdict and the plan."""
        del is_complete
        if self._error is not None:
            return result_of_error(self._error)
        verdict = self._context.verdicts.get(Phase.READINESS)
        if verdict is None:
            return result_of_empty_session(self._context)
        reason = verdict.reason
        if verdict.holds and self._blocking:
            sentence = "; ".join(f.sentence for f in self._blocking)
            reason = Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence)
        is_fit = verdict.holds and not self._blocking
        return SessionResult(
            verdict="PLAN" if is_fit else "REFUSE",
            state="PLANNED",
            reason=reason,
            status=ExitStatus.OK if is_fit else ExitStatus.FAILED,
            lines=self._lines,
        )


def _lines(plan: DeployPlan, spec: FunctionSpec, engine: EngineSettings) -> Iterator[str]:
    for finding in plan.findings:
        word = "blocks" if finding.is_blocking else "note"
        yield f"{word}: {finding.sentence}; {finding.hint}".rstrip("; ")
    if plan.is_unchanged:
        yield "nothing to deploy: this source with these settings serves already"
    yield from _traffic(plan.snapshot, spec, engine)
    for setting in plan.settings:
        yield f"setting: {setting}"
    for change in plan.changes.changes if plan.changes is not None else ():
        yield f"  {change}"
    yield plan.count
    yield f"plan: digest {plan.digest}"
    package = plan.package
    yield f"source: {len(package.files)} files, {package.size_bytes} bytes, digest {package.digest}"
    for place, reason in package.allowed_secrets:
        yield f"allowed: {place}: {reason}"
    yield from plan.gcloud


def _traffic(snapshot: Snapshot, spec: FunctionSpec, engine: EngineSettings) -> Iterator[str]:
    """Who would have which traffic when; CANDIDATE, VERIFICATION and FRESH have no names yet."""
    candidate, baseline = RevisionName("CANDIDATE"), snapshot.baseline
    fresh = RevisionName("FRESH") if engine.has_fresh_baseline and baseline is not None else None
    tags = {TAG_CANDIDATE: candidate}
    if spec.has_verification:
        tags[TAG_VERIFY] = RevisionName("VERIFICATION")
    tags |= {variant_tag(n): RevisionName(f"VARIANT-{n}") for n in spec.verify_variants}
    if fresh is not None:
        tags[TAG_FRESH] = fresh
        yield f"FRESH: a new revision of the image and settings of {baseline}, compared with CANDIDATE"
    if not snapshot.exists:
        yield "traffic now: none, it would be the first release; it stays closed until it is judged"
    else:
        yield f"traffic now: {snapshot.traffic}"
    if baseline is not None:
        yield f"traffic while it is judged: {Traffic.of({baseline: 100}).with_tags(tags)}"
    for plan in steps_to(candidate, baseline, engine.percents, fresh):
        yield f"traffic on promotion: {plan}"
    back = f"{baseline}=100" if baseline is not None else "none: the function is removed"
    yield f"traffic if it goes back: {back}"
