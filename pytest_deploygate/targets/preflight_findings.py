"""How preflight says what it found, and what it asks where a question cannot be answered."""

from collections.abc import Callable, Iterator

from pytest_deploygate.core.errors import DeployGateError, TargetRefused
from pytest_deploygate.core.preflight import PreflightFinding

CALL = "run.routes.invoke"
"""Permission to call a service that asks for a token."""


def ask(question: Callable[[], Iterator[PreflightFinding]]) -> list[PreflightFinding]:
    """The findings of one question; one that cannot be answered is a finding itself."""
    try:
        return list(question())
    except DeployGateError as error:
        return [blocking_finding(error.message, error.hint)]


def missing_permissions(
    ask_missing: Callable[[], tuple[str, ...]], role_for: Callable[[tuple[str, ...]], str]
) -> Iterator[PreflightFinding]:
    """What we may not do. Who may not even ask is told that: the write says 403 itself."""
    try:
        found = ask_missing()
    except TargetRefused as error:
        yield permissions_not_told(error)
        return
    if found:
        yield blocking_finding(
            f"permissions are missing: {', '.join(found)}", f"ask for {role_for(found)}"
        )


def blocking_finding(sentence: str, hint: str) -> PreflightFinding:
    """A finding that ends the rollout."""
    return PreflightFinding(is_blocking=True, sentence=sentence, hint=hint)


def wrong_setting(sentence: str, hint: str) -> PreflightFinding:
    """A finding that ends the rollout, and that only other settings or another source can end."""
    return PreflightFinding(is_blocking=True, sentence=sentence, hint=hint, is_setting=True)


def note(sentence: str, hint: str) -> PreflightFinding:
    """A finding that is only told."""
    return PreflightFinding(is_blocking=False, sentence=sentence, hint=hint)


def permissions_not_told(error: TargetRefused) -> PreflightFinding:
    """That our permissions cannot be asked."""
    return note(
        f"our permissions cannot be asked: {error.message}",
        "what is missing will be said by the first write that needs it",
    )


def role_for_service(missing: tuple[str, ...]) -> str:
    """The role that has the permissions on a Cloud Run service."""
    if missing == (CALL,):
        return "roles/run.invoker"
    return (
        "roles/run.developer (roles/run.admin to open it, roles/run.invoker to call what is closed)"
    )
