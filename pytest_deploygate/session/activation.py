"""Decides which parts of the plugin a process needs, and registers them."""

import os
import sys

import pytest

from pytest_deploygate import fixtures
from pytest_deploygate.channel.messages import Hello
from pytest_deploygate.checks.configuration import configuration_of
from pytest_deploygate.collection.check_collector import CheckCollector, counts_all_phases
from pytest_deploygate.collection.expected_failures import ExpectedFailures
from pytest_deploygate.collection.gate_marking import GateMarking
from pytest_deploygate.collection.inventory import Gates, paths_to_collect
from pytest_deploygate.collection.network_guard import NetworkGuard
from pytest_deploygate.collection.passive_skip import PassiveSkip
from pytest_deploygate.collection.step_parameters import StepParameters
from pytest_deploygate.config.environment_selection import redactor_for, select_environment
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.printable import printable
from pytest_deploygate.core.redaction import Redactor, secrets_among
from pytest_deploygate.handover import Role
from pytest_deploygate.session.option_validation import invalid_options, narrowing_options
from pytest_deploygate.session.redaction_plugin import RedactionPlugin
from pytest_deploygate.state_keys import AUDITOR, DEPLOYMENT, IS_TERSE, LINK, REDACTOR, WORKER_INPUT


def activate(config: pytest.Config, role: Role | None) -> None:
    """Register the parts that this process needs.

    Raises:
        pytest.UsageError: the settings or the options are wrong.
    """
    try:
        _activate(config, role)
    except ConfigError as error:
        raise usage_error(config, error) from error


def usage_error(config: pytest.Config, error: ConfigError) -> pytest.UsageError:
    """What pytest prints and ends with: without secrets, and without what would steer terminal or CI."""
    redactor = config.stash.get(REDACTOR, None) or Redactor(secrets_among(os.environ))
    return pytest.UsageError(printable(redactor(str(error))))


def _activate(config: pytest.Config, role: Role | None) -> None:
    settings = load(config.rootpath)
    name = config.getoption("--deploy-to") or config.getoption("--deploy-env") or ""
    if role is None and settings.default_environment not in settings.environment_names:
        name = settings.environment_names[0]
    endpoint = config.getoption("--deploy-endpoint") or ""
    environment = select_environment(settings, name, endpoint=endpoint)
    if role is not None:
        if config.getoption("--deploy-steps") == "none":
            environment = environment._replace(engine=environment.engine.without_steps())
        settings = settings.narrow_to(environment, has_steps=bool(config.getoption("--deploy-to")))
    for gate in settings.policy.gates:
        if gate.marker:
            config.addinivalue_line("markers", f"{gate.marker}: checks of the gate {gate.name}")
    register = config.pluginmanager.register
    register(fixtures, "deploygate-fixtures")
    gates = Gates(settings.policy, settings.root)
    register(GateMarking(gates), "deploygate-gated")
    if settings.policy.gates_of(Phase.STEP):
        steps = StepParameters(gates, environment.engine.judged_percents)
        register(steps, "deploygate-steps")
    register(ExpectedFailures(), "deploygate-known-defects")
    redactor = config.stash[REDACTOR] = redactor_for(settings)
    register(RedactionPlugin(redactor), "deploygate-redacting")
    memory = environment.spec.memory
    config.stash[DEPLOYMENT] = configuration_of(environment, Phase.READINESS, memory)
    if role is None:
        register(PassiveSkip(gates), "deploygate-passive")
        return
    register(NetworkGuard(), "deploygate-offline")
    is_deployment = bool(config.getoption("--deploy-to")) and not config.getoption("--deploy-plan")
    find = invalid_options if is_deployment else narrowing_options
    refusals = tuple(find(config, settings.root))
    _leave_room(config)
    _greet(config, role, refusals)
    if is_deployment and refusals and role.name == "session":
        raise ConfigError(
            "this session cannot decide a deployment:\n"
            + "\n".join(f"  {text}" for text in refusals)
        )
    _choose_paths(config, settings)
    if role.name == "worker":
        _register_worker(config, gates)
    else:
        _register_session(config, settings, gates, role)


def _leave_room(config: pytest.Config) -> None:
    """Pytest's own lines are fewer: what a rollout is about, the judge says; ``-v`` brings them back."""
    config.stash[IS_TERSE] = config.option.verbose < 0
    if config.option.verbose <= 0:
        config.option.no_header = True
        config.option.verbose = min(config.option.verbose, -1)


def _greet(config: pytest.Config, role: Role, refusals: tuple[str, ...]) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "") if role.name == "worker" else ""
    config.stash[LINK].send(
        Hello(role.name, os.getpid(), worker, str(config.rootpath), sys.flags.optimize, refusals)
    )


def _choose_paths(config: pytest.Config, settings: Settings) -> None:
    """Collect exactly the gates where no path was given."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        testpaths = [str(path) for path in config.getini("testpaths")]
        config.args = paths_to_collect(settings.policy, settings.root, testpaths)


def _register_worker(config: pytest.Config, gates: Gates) -> None:
    from pytest_deploygate.runners.xdist import WorkerCollection

    told = getattr(config, "workerinput", {})
    if WORKER_INPUT not in told:
        raise ConfigError("this worker was started by another session")
    worker = WorkerCollection(config, gates, told, config.stash[LINK], config.stash[AUDITOR])
    config.pluginmanager.register(worker, "deploygate-worker")


def _register_session(config: pytest.Config, settings: Settings, gates: Gates, role: Role) -> None:
    from pytest_deploygate.channel.messages import Doubt
    from pytest_deploygate.runners.in_process import InProcessRunner
    from pytest_deploygate.session.agent import Agent, PhaseRunner

    link, auditor = config.stash[LINK], config.stash[AUDITOR]
    if getattr(config.option, "xmlpath", None):
        from pytest_deploygate.session.junit_redirect import JUnitRedirect

        config.pluginmanager.register(JUnitRedirect(config, role.junit), "deploygate-junit")
    runner: PhaseRunner
    collector = None
    if config.getoption("numprocesses", None):
        from pytest_deploygate.runners.xdist import DistributedRunner

        runner = DistributedRunner(config, lambda sentence: link.send(Doubt(sentence, "")))
        config.pluginmanager.register(runner, "deploygate-distributed")
        auditor.is_muted = True  # each worker has an auditor of its own
    else:
        runner = InProcessRunner(config)
        collector = CheckCollector(gates, link, auditor, counts_all=counts_all_phases(config))
    agent = Agent(config, settings, link, auditor, collector, runner)
    config.pluginmanager.register(agent, "deploygate-agent")
