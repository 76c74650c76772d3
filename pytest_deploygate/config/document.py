"""The whole table ``[tool.deploygate]``: the root of all declarations of settings."""

from collections.abc import Mapping
from enum import Enum, unique
from fractions import Fraction
from typing import Annotated, Final, NamedTuple

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.tables import TableWith
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.notification import NotifyChannel
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.policy import Gate, PhasePolicy, Trigger
from pytest_deploygate.core.setting import NAME, Setting
from pytest_deploygate.system.private_folder import STATE_FOLDER

TABLE: Final = "tool.deploygate"


@unique
class SessionCredentials(Enum):
    """Whether checks run with the variables that name the deployer's credentials."""

    SHARED = "shared"
    WITHHELD = "withheld"


class Phases(NamedTuple):
    """Threshold and budget of each phase."""

    readiness: Annotated[
        PhasePolicy,
        Setting("offline, before the rollout changes anything", example="{ threshold = 0.95 }"),
    ] = PhasePolicy(threshold=Fraction("0.95"), budget_s=300)
    candidate: Annotated[
        PhasePolicy,
        Setting("against the candidate, before it gets traffic", example="{ budget-s = 600 }"),
    ] = PhasePolicy(threshold=Fraction("0.75"), budget_s=300)
    step: Annotated[
        PhasePolicy,
        Setting(
            "against the public URL and the candidate, at each step below 100 percent",
            example="{ budget-s = 60 }",
        ),
    ] = PhasePolicy(threshold=Fraction(1), budget_s=120)
    live: Annotated[
        PhasePolicy,
        Setting("against the serving revision, after the promotion", example="{ threshold = 1.0 }"),
    ] = PhasePolicy(threshold=Fraction(1), budget_s=120)


class SettingsTable(NamedTuple):
    """The table ``[tool.deploygate]`` as the user writes it."""

    gates: Annotated[
        Mapping[str, Gate],
        Setting(
            "the gates: requirements that must hold",
            example='{ smoke = { phase = "live", marker = "smoke" } }',
            key_pattern=NAME,
            is_filled=True,
        ),
    ]
    environments: Annotated[
        Mapping[str, Mapping[str, object]],
        Setting(
            "the environments to deploy to",
            example='{ local = { target = "local" } }',
            key_pattern=NAME,
            is_filled=True,
            fields_of=Environment,
        ),
    ]
    default_environment: Annotated[
        str,
        Setting(
            "environment of commands and of `pytest -m rollback-checks` without one",
            example='"production"',
            is_a="the name of an environment",
            pattern=NAME,
        ),
    ] = "local"
    state: Annotated[
        str,
        Setting(
            "URL of the record: `sqlite:///PATH` or `postgresql+psycopg://...`; the environment "
            "variable `DEPLOYGATE_STATE` takes precedence",
            example='"postgresql+psycopg://deploygate@db.example.org/deploygate"',
            is_a="an address that begins with sqlite or postgresql",
            pattern="(sqlite|postgresql).*",
            default=f"`{STATE_FOLDER}/state.db`",
        ),
    ] = ""
    prometheus_textfile: Annotated[
        str,
        Setting(
            "file for the textfile collector of node_exporter, relative to the project; written after each "
            "rollout (extra `prometheus`)",
            example='"metrics/deploygate.prom"',
            is_a="the name of a file that ends with .prom",
            pattern=r".*\.prom",
        ),
    ] = ""
    plugins: Annotated[
        tuple[str, ...],
        Setting(
            "modules whose hooks act (`pytest_deploygate_act`): installed, or below the project; loaded by the process "
            "that decides, which loads no conftest file",
            example='["our_company.release_hooks"]',
            is_a="names of modules",
        ),
    ] = ()
    session_credentials: Annotated[
        SessionCredentials,
        Setting(
            "whether the processes that run checks get the variables that name the deployer's credentials: `shared`, "
            "as all other variables; `withheld`, without them",
            example='"withheld"',
        ),
    ] = SessionCredentials.SHARED
    session_variables: Annotated[
        tuple[str, ...],
        Setting(
            "variables that checks need although they would be withheld",
            example='["GITHUB_TOKEN"]',
            is_a="names of variables",
        ),
    ] = ()
    phases: Annotated[
        Phases,
        Setting(
            "threshold and budget of each phase",
            example="{ candidate = { threshold = 0.8 } }",
        ),
    ] = Phases()
    triggers: Annotated[
        Mapping[str, Trigger],
        Setting(
            "conditions on measurements that cause a rollback whatever the gates show",
            example='{ slow = { fires-when = ["latency_s > 5"], severity = "high" } }',
            key_pattern=NAME,
        ),
    ] = {}
    notify: Annotated[
        Mapping[str, NotifyChannel],
        Setting(
            "channels that receive the results of rollouts",
            example='{ chat = { url = "env:SLACK_WEBHOOK", form = "slack" } }',
            key_pattern=NAME,
        ),
    ] = {}
    objectives: Annotated[
        Mapping[str, Objective],
        Setting(
            "comparisons of candidate and baseline at each step that waits",
            example='{ errors = { metric = "error_rate", worse-by = "1pp" } }',
            key_pattern=NAME,
        ),
    ] = {}
    function: Annotated[
        Mapping[str, object],
        Setting(
            "settings of the function that all environments share",
            example='{ function = "hello", entry-point = "hello", runtime = "python312", source = "src" }',
            fields_of=FunctionSpec,
        ),
    ] = {}


DOCUMENT: Final = TableWith(Setting("settings of the project"), SettingsTable)
ENVIRONMENT: Final = TableWith(Setting("an environment to deploy to"), Environment)
