"""Environments: shared and own settings, rehearsals, gate overrides."""

from pathlib import Path

import pytest

from pytest_deploygate.config.environment import StatisticsWindow
from pytest_deploygate.config.environment_selection import select_environment
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.policy import Leniency
from pytest_deploygate.emulator.secrets_file import link_secrets
from pytest_deploygate.wiring import statistics_lag_s
from tests.core.test_config import GATES, written

REPOSITORY = Path(__file__).parents[2]
PRODUCTION = """
[tool.deploygate.function]
function = "f"
project = "some-project"
region = "us-central1"
runtime = "python312"
entry-point = "f"
source = "src"
build-environment-variables = { ONE = "1" }

[tool.deploygate.environments.production]
target = "google"
environment-variables = { A = "1", B = "2" }
build-environment-variables = { TWO = "2" }
secrets-file = "never.toml"
freeze = ["mon 00:00 - sun 23:59 UTC"]
approval = "required"
"""
REHEARSAL = """
[tool.deploygate.environments.production.rehearsal]
environment-variables = { B = "3", C = "4" }
secrets-file = "local.toml"
"""


def settings_of(root: Path, more: str = "") -> Settings:
    return load(written(root, GATES + PRODUCTION + more))


def test_tables_of_an_environment_add_to_those_of_the_function(tmp_path: Path) -> None:
    spec = settings_of(tmp_path).environment("production").spec
    assert spec.build_variables == {"ONE": "1", "TWO": "2"}


def test_a_rehearsal_is_the_same_but_for_where_it_runs_and_what_it_names(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "statistics = { window-s = 900, lag-s = 200 }\n" + REHEARSAL)
    rehearsed = select_environment(settings, "production", endpoint="local")
    real = select_environment(settings, "production")
    assert (rehearsed.name, rehearsed.target) == ("production-rehearsal", "local")
    assert rehearsed.spec.variables == {"A": "1", "B": "3", "C": "4"}
    assert rehearsed.secrets_file == "local.toml"
    assert (rehearsed.freeze, rehearsed.approval) == ((), "none")
    assert (rehearsed.statistics.window_s, statistics_lag_s(rehearsed)) == (900, 0)
    assert real.spec.variables == {"A": "1", "B": "2"}
    assert (real.target, real.approval) == ("google", "required")
    assert rehearsed.spec.secrets == real.spec.secrets


def test_statistics_are_as_late_as_their_platform_or_as_told(tmp_path: Path) -> None:
    assert settings_of(tmp_path).environment("production").statistics == StatisticsWindow()
    assert statistics_lag_s(settings_of(tmp_path).environment("production")) == 240
    told = settings_of(tmp_path, "statistics = { lag-s = 90, least-requests = 3 }\n")
    assert statistics_lag_s(told.environment("production")) == 90
    assert told.environment("production").statistics.least_requests == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "statistics = { window-s = 59 }\n",
            "window-s: 59 is not a whole number of seconds from 60 to 86400",
        ),
        ("statistics = { lag = 1 }\n", "statistics.lag: unknown key\n  hint: did you mean lag-s?"),
        ("gates = { h = { skips = 'allow' } }\n", "there is no gate 'h'\n  hint: there are: g"),
        ("gates = { g = { threshold = 0 } }\n", "gates.g.threshold: unknown key"),
        ("rehearsal = { freeze = [] }\n", "rehearsal.freeze: unknown key"),
    ],
)
def test_what_an_environment_cannot_say_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    assert said in str(caught.value)


def test_an_environment_may_say_which_gate_skips_there_and_how_many_must_run(
    tmp_path: Path,
) -> None:
    more = "gates = { g = { skips = 'allow', least-checks = 8 } }\n"
    settings = settings_of(tmp_path, more)
    [here] = settings.narrow_to(settings.environment("production")).policy.gates
    [elsewhere] = settings.policy.gates
    assert (here.skips, here.least_checks) == (Leniency.ALLOW, 8)
    assert (elsewhere.skips, elsewhere.least_checks) == (Leniency.FAIL, 1)
    assert here.threshold == elsewhere.threshold


def test_production_of_this_repository_lets_only_what_google_cannot_tell_be_skipped() -> None:
    settings = load(REPOSITORY)
    there = settings.narrow_to(settings.environment("production")).policy.gates
    lenient = {gate.name: gate.least_checks for gate in there if gate.skips is Leniency.ALLOW}
    assert lenient == {"performance": 8, "rollback_checks": 8}
    assert all(gate.skips is Leniency.FAIL for gate in settings.policy.gates)


def test_secrets_are_read_from_the_file_that_the_settings_name(tmp_path: Path) -> None:
    place, one, other = tmp_path / "secrets.toml", tmp_path / "one.toml", tmp_path / "other.toml"
    with pytest.raises(ConfigError, match="does not exist"):
        link_secrets(one, place)
    one.write_text("a = '1'")
    other.write_text("a = '2'")
    link_secrets(one, place)
    assert place.read_text() == "a = '1'"
    link_secrets(other, place)
    assert place.read_text() == "a = '2'"
    link_secrets(place, place)
    assert place.read_text() == "a = '2'"
    place.unlink()
    place.write_text("a = '3'")
    with pytest.raises(ConfigError, match="one of its own"):
        link_secrets(one, place)
    assert place.read_text() == "a = '3'"


IMAGE = """
[tool.deploygate.gates.g]
phase = "live"
marker = "m"

[tool.deploygate.environments.p]
target = "cloud-run"
function = "hello"
project = "some-project"
region = "us-central1"
image = "us-central1-docker.pkg.dev/some-project/apps/hello:v1"
secret-files = { "/secrets/key/value" = "api-key:3" }
startup-probe = { path = "/ready" }

[tool.deploygate.environments.p.rehearsal]
command = ["python", "server.py"]
"""


def test_an_image_needs_no_source_and_is_rehearsed_as_cloud_run(tmp_path: Path) -> None:
    settings = load(written(tmp_path, IMAGE))
    real = select_environment(settings, "p")
    assert real.is_remote
    assert (real.spec.source, real.spec.runtime) == ("", "")
    assert real.spec.container.secret_files["/secrets/key/value"].version == "3"
    assert real.spec.container.startup_probe.failures == 3
    rehearsed = select_environment(settings, "p", endpoint="local")
    assert (rehearsed.target, rehearsed.emulates) == ("local", "cloud-run")
    assert not rehearsed.is_remote
    assert rehearsed.spec.container.command == ("python", "server.py")
    assert real.config_digest != rehearsed.config_digest


OTHER = """
[tool.deploygate.environments.orders]
target = "google"

[tool.deploygate.gates.of_orders]
phase = "candidate"
paths = ["orders"]
environments = ["orders"]
needs-at-most-s = 200

[tool.deploygate.gates.of_production]
phase = "candidate"
paths = ["orders"]
environments = ["production"]
needs-at-most-s = 200
"""


def test_gate_judges_the_environments_that_it_names(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, OTHER)
    judged = {
        name: [gate.name for gate in settings.narrow_to(environment).policy.gates]
        for name, environment in settings.environments.items()
    }
    assert judged == {"production": ["g", "of_production"], "orders": ["g", "of_orders"]}
    rehearsed = select_environment(settings, "production", endpoint="local")
    assert [gate.name for gate in settings.narrow_to(rehearsed).policy.gates] == judged[
        "production"
    ]
    assert len(settings.policy.gates) == 3


@pytest.mark.parametrize(
    "environments", ["", 'environments = ["production"]', 'environments = ["orders", "production"]']
)
def test_gates_of_one_environment_do_not_share_a_path(tmp_path: Path, environments: str) -> None:
    shared = OTHER.replace('environments = ["orders"]', environments)
    with pytest.raises(ConfigError, match="orders already belongs to gate of_orders"):
        settings_of(tmp_path, shared)
