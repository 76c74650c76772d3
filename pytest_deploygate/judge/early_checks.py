"""What files and settings alone show to be wrong, before a session, the emulator or a build is started."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.errors import ConfigError, join_errors
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.system.interpreters import RUNTIMES
from pytest_deploygate.wiring import unknown_target_error

_RELEASE = (Phase.READINESS, Phase.CANDIDATE, Phase.LIVE)
"""Phases of every release; a step needs no gate."""
_JUDGED = {
    Mode.DEPLOY: _RELEASE,
    Mode.PLAN: _RELEASE,
    Mode.ROLLBACK_CHECKS: (Phase.LIVE,),
    Mode.JUDGE: (),
}
"""Phases that a mode cannot do without."""


def check_early(settings: Settings, environment: Environment, mode: Mode) -> None:
    """Refuse what could not end well; ``settings`` are those that judge ``environment``.

    Raises:
        ConfigError: everything that is wrong, with what to do about each.
    """
    found = list(find_gate_mistakes(settings.policy, settings.root, _JUDGED[mode]))
    if mode in (Mode.DEPLOY, Mode.PLAN):
        found += _find_undeployable(settings, environment)
    if environment.target == LOCAL:
        found += _find_unusable_emulator(settings, environment)
    if found:
        raise join_errors(found, "things")


def _find_undeployable(settings: Settings, environment: Environment) -> Iterator[ConfigError]:
    """What settings and source alone show to be wrong; nothing is started, asked or written."""
    is_local, spec = environment.target == LOCAL, environment.spec
    if unknown := unknown_target_error(environment):
        yield unknown
    if not ((is_local or environment.is_remote) and spec.source):  # of another package, or an image
        return
    if is_local and spec.runtime not in RUNTIMES:
        yield ConfigError(
            f"the emulator does not offer the runtime {spec.runtime}",
            hint=f"it offers {', '.join(RUNTIMES)}",
        )
    from pytest_deploygate.targets.source_package import check_source

    try:
        check_source(spec, settings.state_dir / environment.name)
    except ConfigError as error:
        yield error


def _find_unusable_emulator(settings: Settings, environment: Environment) -> Iterator[ConfigError]:
    from pytest_deploygate.emulator.lifecycle import check_startable

    try:
        check_startable(settings.emulator_home, environment.port)
    except ConfigError as error:
        yield error


def find_gate_mistakes(
    policy: Policy, root: Path, phases: Iterable[Phase]
) -> Iterator[ConfigError]:
    """Gates whose files cannot be collected, and those of ``phases`` that no gate judges."""
    for gate in policy.gates:
        hint = f"correct tool.deploygate.gates.{gate.name}.paths in pyproject.toml"
        for path in gate.paths:
            if ".." in Path(path).parts or not (root / path).is_relative_to(root):
                why = f"gate {gate.name}: the path {path} leads out of {root}"
                move = f"move its checks below that folder, and {hint}"
                yield ConfigError(why, hint=move)
            elif not (root / path).exists():
                why = f"gate {gate.name}: the path {path} does not exist below {root}"
                yield ConfigError(why, hint=hint)
    for phase in phases:
        if not any(g.enforce is Enforcement.BLOCK for g in policy.gates_of(phase)):
            yield ConfigError(
                f"the {phase.value} phase has no gate, so it can never hold",
                hint=f'add a table [tool.deploygate.gates.NAME] with phase = "{phase.value}" '
                'and paths = ["FOLDER"]',
            )


def check_collected(context: SessionContext) -> None:
    """Nothing is built for checks that cannot run; where nothing is, nothing follows from their failure.

    Raises:
        ConfigError: a deployment or its plan was asked for, and checks have mistakes.
    """
    mistakes = context.recorder.mistakes
    if context.options.mode not in (Mode.DEPLOY, Mode.PLAN):
        for sentence in mistakes:
            context.recorder.mark_incomplete(sentence)
    elif mistakes:
        raise ConfigError(
            "\n  ".join(("checks have mistakes of their own:", *mistakes)),
            hint="correct them; a mark is registered under markers in pytest's settings",
        )
