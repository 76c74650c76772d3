"""Which flow a session has."""

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.deploy_flow import DeployFlow
from pytest_deploygate.judge.flows.flow_interface import Flow
from pytest_deploygate.judge.flows.plan_flow import PlanFlow
from pytest_deploygate.judge.flows.resume_flow import ResumeFlow
from pytest_deploygate.judge.flows.verify_flow import VerifyFlow


def flow_of(context: SessionContext) -> Flow:
    """The flow of the session's mode."""
    match context.options.mode:
        case Mode.DEPLOY if context.options.resumes:
            return ResumeFlow(context)
        case Mode.DEPLOY:
            return DeployFlow(context)
        case Mode.PLAN:
            return PlanFlow(context)
        case Mode.ROLLBACK_CHECKS:
            return VerifyFlow(context, phases=(Phase.LIVE,), may_act=True)
        case _:
            return VerifyFlow(
                context, phases=(Phase.READINESS, Phase.CANDIDATE, Phase.LIVE), may_act=False
            )
