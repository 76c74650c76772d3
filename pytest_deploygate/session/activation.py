"""Decides which parts of the plugin a session needs, and registers them.

What only the deciding process needs is loaded there: a worker of pytest-xdist begins in a fraction of the time.
"""

import pytest

from pytest_deploygate import fixtures, is_configured
from pytest_deploygate.collection.gate_marking import GateMarking
from pytest_deploygate.collection.inventory import Gates, paths_to_collect
from pytest_deploygate.collection.network_guard import NetworkGuard
from pytest_deploygate.collection.outcome_audit import PLUGIN, OutcomeAuditor
from pytest_deploygate.collection.passive_skip import PassiveSkip
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.judge.options import DeployOptions, read_options
from pytest_deploygate.session.redaction_plugin import RedactionPlugin
from pytest_deploygate.state_keys import DEPLOYMENT, MODE, REDACTOR, WORKER_INPUT, Mode
from pytest_deploygate.wiring import LOCAL, redactor_for, select_environment


def isolate(config: pytest.Config) -> None:
    """Run the checks of a real target in a worker, unless the user chose otherwise.

    Test code that ends the process, or blocks it for ever, then costs one check and not the verdict.
    """
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.getoption("numprocesses", None) is not None or config.getoption("collectonly", False):
        return
    try:
        options, _, environment = _read(config)
    except ConfigError:
        return  # said where it can be said well: in pytest_configure
    if options.mode in (Mode.DEPLOY, Mode.ROLLBACK_CHECKS) and environment.target != LOCAL:
        config.option.numprocesses = 1
        config.option.dist = "load"
        config.option.tx = ["popen"]


def _read(config: pytest.Config) -> tuple[DeployOptions, Settings, Environment]:
    root = config.rootpath
    options = read_options(config, is_configured=is_configured(root))
    settings = load(root, is_checked=hasattr(config, "workerinput"))  # by the controller
    name = options.environment
    if (
        options.mode is Mode.PASSIVE
        and settings.default_environment not in settings.environment_names
    ):
        name = settings.environment_names[0]
    environment = select_environment(settings, name, endpoint=options.endpoint)
    return options, settings.judging(environment), environment


def activate(config: pytest.Config) -> None:
    """Register the parts that this session needs.

    Raises:
        pytest.UsageError: the settings or the options are wrong.
    """
    try:
        _activate(config)
    except ConfigError as error:
        from pytest_deploygate.judge.reporting.junit import write_usage_error

        write_usage_error(config, error)
        raise pytest.UsageError(str(error)) from error


def _activate(config: pytest.Config) -> None:
    options, settings, environment = _read(config)
    config.stash[MODE] = options.mode
    for gate in settings.policy.gates:
        if gate.marker:
            config.addinivalue_line("markers", f"{gate.marker}: checks of the gate {gate.name}")
    register = config.pluginmanager.register
    register(fixtures, "deploygate-fixtures")
    gates = Gates(settings.policy, settings.root)
    register(GateMarking(gates), "deploygate-gated")
    redactor = config.stash[REDACTOR] = redactor_for(settings)
    register(RedactionPlugin(redactor), "deploygate-redacting")
    if options.mode.touches_target:
        register(NetworkGuard(), "deploygate-offline")
    told = getattr(config, "workerinput", {})
    if WORKER_INPUT in told:
        _choose_paths(config, settings, options)
        from pytest_deploygate.runners.xdist import Worker

        register(Worker(config, settings, told, _witness(config)), "deploygate-worker")
        return
    from pytest_deploygate.judge.context import configuration_of

    memory = environment.spec.memory
    config.stash[DEPLOYMENT] = configuration_of(environment, Phase.READINESS, memory)
    if options.mode is Mode.PASSIVE:
        register(PassiveSkip(gates), "deploygate-passive")
        return
    if options.mode is Mode.DEPLOY:
        from pytest_deploygate.session.option_validation import invalid_options

        found = list(invalid_options(config, settings.root))
        if found:
            raise ConfigError(
                "this session cannot decide a deployment:\n"
                + "\n".join(f"  {text}" for text in found)
            )
    _choose_paths(config, settings, options)
    _register_controller(config, options, settings, environment)


def _choose_paths(config: pytest.Config, settings: Settings, options: DeployOptions) -> None:
    """Collect exactly the gates where no path was given."""
    if not options.mode.touches_target:
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        testpaths = [str(path) for path in config.getini("testpaths")]
        config.args = paths_to_collect(settings.policy, settings.root, testpaths)


def _witness(config: pytest.Config) -> OutcomeAuditor:
    """The one that was there before any conftest file."""
    found = config.pluginmanager.get_plugin(PLUGIN)
    if not isinstance(found, OutcomeAuditor):
        raise ConfigError(
            "-p no:deploygate-witness: without it reports can be falsified; leave it out"
        )
    return found


def _register_controller(
    config: pytest.Config, options: DeployOptions, settings: Settings, environment: Environment
) -> None:
    from pytest_deploygate.judge.context import SessionContext
    from pytest_deploygate.judge.evidence_ledger import EvidenceCollector
    from pytest_deploygate.judge.judge_telemetry import SessionTelemetry
    from pytest_deploygate.judge.main import Controller
    from pytest_deploygate.judge.reporting.terminal import Terminal
    from pytest_deploygate.runners.in_process import InProcessRunner
    from pytest_deploygate.system.signal_guard import SignalGuard

    is_distributed = bool(config.getoption("numprocesses", None))
    # where workers run the checks, each of them has a witness of its own
    recorder = EvidenceCollector(
        settings.policy, None if is_distributed else _witness(config).mismatch
    )
    if is_distributed:
        from pytest_deploygate.runners.xdist import DistributedRunner

        runner: DistributedRunner | InProcessRunner = DistributedRunner(config, recorder, settings)
        config.pluginmanager.register(runner, "deploygate-distributed")
    else:
        runner = InProcessRunner(config, recorder)
    context = SessionContext(
        config=config,
        options=options,
        settings=settings,
        environment=environment,
        recorder=recorder,
        runner=runner,
        terminal=Terminal(config),
        signals=SignalGuard(),
    )
    records = SessionTelemetry(settings, config.stash[REDACTOR], context.terminal.line)
    config.pluginmanager.register(records, "deploygate-records")
    config.pluginmanager.register(recorder, "deploygate-recorder")
    config.pluginmanager.register(Controller(context), "deploygate-controller")
