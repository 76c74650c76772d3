"""Settings: values, and errors that name the file, the key, what is wrong and what is allowed."""

from fractions import Fraction
from pathlib import Path

import pytest

from pytest_deploygate import is_configured
from pytest_deploygate.config.settings import load
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.policy import Leniency

GATES = '[tool.deploygate.gates.g]\nphase = "live"\npaths = ["gates/"]\n'
FUNCTION = '[tool.deploygate.function]\nfunction = "f"\nruntime = "python312"\nentry-point = "f"\nsource = "src"\n'
ENVIRONMENT = '[tool.deploygate.environments.local]\ntarget = "local"\n'
GOOD = GATES + FUNCTION + ENVIRONMENT
VERIFY = (
    'environment-variables = { SHEET = "production" }\nverify-environment = { SHEET = "test" }\n'
)


def written(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return root


def error_of(root: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(written(root, text))
    return str(caught.value)


WRONG = {
    "unknown table": (
        GOOD + "[tool.deploygate.gate.x]\n",
        "tool.deploygate.gate: unknown key\n  hint: did you mean gates?",
    ),
    "unknown key of a gate": (
        GOOD.replace("paths", "treshold = 1\npaths"),
        "tool.deploygate.gates.g.treshold: unknown key\n  hint: did you mean threshold?",
    ),
    "key with underscores": (
        GOOD + "rollout_budget_s = 9\n",
        "environments.local.rollout_budget_s: unknown key\n  hint: did you mean rollout-budget-s?",
    ),
    "unknown key without a neighbour": (
        GOOD.replace("paths", "zzz = 1\npaths"),
        "tool.deploygate.gates.g.zzz: unknown key\n  hint: keys are: phase, paths, marker, ",
    ),
    "missing gates": (
        FUNCTION + ENVIRONMENT,
        "tool.deploygate: the key gates is missing\n  hint: add it: gates = { smoke = ",
    ),
    "missing environments": (GATES + FUNCTION, "tool.deploygate: the key environments is missing"),
    "setting of Cloud Run, on the emulator as Cloud Functions": (
        GOOD + 'vpc-network = "default"\n',
        (
            "environments.local.vpc-network: a function of Cloud Functions does not have vpc-network\n"
            '  hint: take it out, or set emulates = "cloud-run"'
        ),
    ),
    "setting of Cloud Run, on Cloud Functions": (
        GOOD.replace('"local"', '"google"').replace("local]", "p]")
        + 'project = "some-project"\nregion = "us-central1"\nimage = "i"\n',
        (
            "environments.p.image: a function of Cloud Functions does not have image\n"
            '  hint: take it out, or set target = "cloud-run"'
        ),
    ),
    "Cloud Run without a project": (
        GOOD.replace('"local"', '"cloud-run"').replace("local]", "p]"),
        "environments.p: the key project is missing",
    ),
    "no source and no image": (
        GOOD.replace('source = "src"\n', ""),
        "environments.local: the key source is missing",
    ),
    "no gate": (
        '[tool.deploygate]\ngates = {}\nenvironments.local.target = "local"\n',
        "tool.deploygate.gates: is empty\n  hint: for example: gates = { smoke = ",
    ),
    "gate that is no table": (
        '[tool.deploygate]\ngates = { g = 1 }\nenvironments.local.target = "local"\n',
        "tool.deploygate.gates.g: 1 is not a table",
    ),
    "gates that are no table": (
        '[tool.deploygate]\ngates = 1\nenvironments.local.target = "local"\n',
        "tool.deploygate.gates: 1 is not a table",
    ),
    "name of a gate": (
        GOOD.replace("gates.g]", "gates.G1]"),
        'tool.deploygate.gates.G1: "G1" is not a name\n  hint: names have small letters, ',
    ),
    "missing phase": (
        GOOD.replace('phase = "live"\n', ""),
        'tool.deploygate.gates.g: the key phase is missing\n  hint: add it: phase = "candidate"',
    ),
    "missing target": (
        GOOD.replace('target = "local"', "port = 1"),
        "tool.deploygate.environments.local: the key target is missing",
    ),
    "neither paths nor marker": (
        GOOD.replace('paths = ["gates/"]\n', ""),
        (
            "tool.deploygate.gates.g: the keys paths and marker are missing\n"
            '  hint: add one: paths = ["suites/health"], marker = "smoke"'
        ),
    ),
    "no path": (
        GOOD.replace('"gates/"', ""),
        'tool.deploygate.gates.g.paths: is empty\n  hint: for example: paths = ["suites/health"]',
    ),
    "empty path": (GOOD.replace("gates/", ""), "tool.deploygate.gates.g.paths: is empty"),
    "path that is no list": (
        GOOD.replace('["gates/"]', '"gates"'),
        (
            'tool.deploygate.gates.g.paths: "gates" is not a list; each item is a path\n'
            '  hint: for example: paths = ["suites/health"]'
        ),
    ),
    "unknown phase": (
        GOOD.replace('"live"', '"lively"'),
        (
            'tool.deploygate.gates.g.phase: "lively" is not "readiness", "candidate", "step" or "live"\n'
            "  hint: did you mean live?"
        ),
    ),
    "threshold as text": (
        GOOD + '[tool.deploygate.phases]\nlive = { threshold = "0.9" }\n',
        (
            'tool.deploygate.phases.live.threshold: "0.9" is not a number from 0 to 1\n'
            "  hint: for example: threshold = 0.95"
        ),
    ),
    "threshold above one": (
        GOOD + "[tool.deploygate.phases]\nlive = { threshold = 1.01 }\n",
        "tool.deploygate.phases.live.threshold: 1.01 is not a number from 0 to 1",
    ),
    "threshold below zero": (
        GOOD + "[tool.deploygate.phases]\nlive = { threshold = -1 }\n",
        "tool.deploygate.phases.live.threshold: -1 is not a number from 0 to 1",
    ),
    "threshold that is true": (
        GOOD.replace("paths", "threshold = true\npaths"),
        "tool.deploygate.gates.g.threshold: true is not a number from 0 to 1",
    ),
    "threshold that is no number": (
        GOOD.replace("paths", "threshold = nan\npaths"),
        "tool.deploygate.gates.g.threshold: nan is not a number from 0 to 1",
    ),
    "weight without end": (
        GOOD.replace("paths", "weight = inf\npaths"),
        "tool.deploygate.gates.g.weight: inf is not a number above 0",
    ),
    "weight of nothing": (
        GOOD.replace("paths", "weight = 0\npaths"),
        "tool.deploygate.gates.g.weight: 0 is not a number above 0\n  hint: for example: weight = 2",
    ),
    "no checks needed": (
        GOOD.replace("paths", "least-checks = 0\npaths"),
        "tool.deploygate.gates.g.least-checks: 0 is not a whole number from 1 up",
    ),
    "half a check": (
        GOOD.replace("paths", "least-checks = 1.5\npaths"),
        "tool.deploygate.gates.g.least-checks: 1.5 is not a whole number from 1 up",
    ),
    "no budget": (
        GOOD + "[tool.deploygate.phases]\nlive = { budget-s = 0 }\n",
        (
            "tool.deploygate.phases.live.budget-s: 0 is not a whole number of seconds from 1 up\n"
            "  hint: for example: budget-s = 300"
        ),
    ),
    "timeout of two hours": (
        GOOD + "timeout-s = 7200\n",
        (
            "environments.local.timeout-s: 7200 is not a whole number of seconds from 1 to 3600\n"
            "  hint: for example: timeout-s = 540"
        ),
    ),
    "leniency": (
        GOOD.replace("paths", 'skips = "maybe"\npaths'),
        'tool.deploygate.gates.g.skips: "maybe" is not "fail" or "allow"',
    ),
    "required as text": (
        GOOD.replace("paths", 'required = "yes"\npaths'),
        (
            'tool.deploygate.gates.g.required: "yes" is not true or false\n'
            "  hint: for example: required = false"
        ),
    ),
    "condition of another form": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a == 1"]\nseverity = "high"\n',
        (
            'tool.deploygate.triggers.t.fires-when: "a == 1" is not a condition "measurement comparison '
            'number"; comparisons are <, >, <= and >=\n  hint: for example: fires-when = ["error_rate > 0.10"]'
        ),
    ),
    "condition with nan": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a < nan"]\nseverity = "high"\n',
        'tool.deploygate.triggers.t.fires-when: "a < nan" is not a condition',
    ),
    "severity": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a < 1"]\nseverity = "bad"\n',
        'tool.deploygate.triggers.t.severity: "bad" is not "critical", "high", "medium" or "low"',
    ),
    "default environment": (
        '[tool.deploygate]\ndefault-environment = "nowhere"\n' + GOOD,
        "tool.deploygate.default-environment: 'nowhere' is not an environment\n  hint: there are: local",
    ),
    "budget below the gates' own limits": (
        GOOD.replace("paths", "needs-at-most-s = 121\npaths"),
        (
            "tool.deploygate.phases.live.budget-s: 120 s are less than the 121 s that its gates need at most\n"
            "  hint: give it 121 s, or lower needs-at-most-s and the limits behind it (g 121)"
        ),
    ),
    "variant of nothing": (
        GOOD + 'verify-variants = { slow = { DELAY = "1" } }\n',
        (
            "environments.local.verify-variants.slow: there is no verify-environment of which it could be a variant\n"
            "  hint: name under verify-environment where checks may write"
        ),
    ),
    "variant that writes where production does": (
        GOOD + VERIFY + 'verify-variants = { slow = { SHEET = "production", DELAY = "1" } }\n',
        "environments.local.verify-variants.slow.SHEET: this is the value that production has",
    ),
    "variant without the production variable that verification replaces": (
        GOOD + VERIFY + 'verify-variants = { slow = { SHEET = "test" } }\n',
        "verify-variants.slow: it has the variables of verify-environment and no others",
    ),
    "name of a variant": (
        GOOD + VERIFY + 'verify-variants = { "Slow_Sheet" = { DELAY = "1" } }\n',
        'verify-variants.Slow_Sheet: "Slow_Sheet" is not a name\n  hint: for example: verify-variants = { unwritable-',
    ),
    "variant that is no table": (
        GOOD + VERIFY + 'verify-variants = { slow = "1" }\n',
        'verify-variants.slow: "1" is not a table; each value is a text',
    ),
    "variable of a variant that is no text": (
        GOOD + VERIFY + "verify-variants = { slow = { DELAY = 1 } }\n",
        "verify-variants.slow.DELAY: 1 is not a text",
    ),
    "shared path": (
        GOOD + '[tool.deploygate.gates.h]\nphase = "live"\npaths = ["gates"]\n',
        (
            "tool.deploygate.gates.h.paths: gates already belongs to gate g\n"
            "  hint: a check belongs to one gate"
        ),
    ),
    "gate of an environment that is not there": (
        GOOD
        + '[tool.deploygate.gates.h]\nphase = "live"\npaths = ["h"]\nenvironments = ["moon"]\n',
        "tool.deploygate.gates.h.environments: 'moon' is not an environment\n  hint: there are: local",
    ),
    "missing function": (
        GATES + ENVIRONMENT,
        (
            "tool.deploygate.environments.local: the key source is missing\n"
            '    hint: add it here or to [tool.deploygate.function]: source = "src/process_invoice"'
        ),
    ),
    "google without a project": (
        GOOD.replace('target = "local"', 'target = "google"'),
        (
            "tool.deploygate.environments.local: the key project is missing\n"
            '    hint: add it here or to [tool.deploygate.function]: project = "my-project-123"'
        ),
    ),
    "region of another planet": (
        GOOD.replace('source = "src"', 'source = "src"\nregion = "mars"'),
        (
            'tool.deploygate.function.region: "mars" is not a region of Google Cloud\n'
            '  hint: for example: region = "europe-west1"'
        ),
    ),
    "variable that is a number": (
        GOOD + "environment-variables = { TOKEN_X = 1 }\n",
        (
            "tool.deploygate.environments.local.environment-variables.TOKEN_X: 1 is not a text\n"
            '  hint: for example: environment-variables = { LOG_LEVEL = "info" }'
        ),
    ),
    "date for a text": (
        GOOD + "endpoint = 2026-01-01\n",
        'tool.deploygate.environments.local.endpoint: "2026-01-01" is not an address that begins with',
    ),
    "memory without a unit": (
        GOOD + 'memory = "512"\n',
        'tool.deploygate.environments.local.memory: "512" is not a size of memory',
    ),
    "secret without a version": (
        GOOD + 'secrets = { KEY = "key" }\n',
        'tool.deploygate.environments.local.secrets.KEY: "key" is not a secret with its version',
    ),
    "steps that descend": (
        GOOD + "steps = [50, 10, 100]\n",
        (
            "tool.deploygate.environments.local.steps: must ascend and end with 100, got [50, 10, 100]\n"
            '  hint: for example: steps = [{ percent = 5, for = "10m" }, 25, 100]'
        ),
    ),
    "steps that do not arrive": (
        GOOD + "steps = [10, 50]\n",
        "tool.deploygate.environments.local.steps: must ascend and end with 100, got [10, 50]",
    ),
    "step of nothing": (
        GOOD + "steps = [0, 100]\n",
        "environments.local.steps: 0 is not a whole number of percent from 1 to 100",
    ),
    "window without a zone": (
        GOOD + 'freeze = ["fri - mon"]\n',
        (
            "environments.local.freeze: freeze window 'fri - mon': it has neither of the two forms\n"
            "  hint: write 'fri 15:00 - mon 07:00 Europe/Berlin' for every week"
        ),
    ),
    "environment that is no table": (
        '[tool.deploygate]\nenvironments = { e = "local" }\ngates.g = { phase = "live", marker = "m" }\n',
        'tool.deploygate.environments.e: "local" is not a table',
    ),
    "no table": ("[tool.other]\n", "there is no [tool.deploygate] table"),
    "no TOML": ("[tool.deploygate\n", "not valid TOML: "),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_error_names_file_key_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    message = error_of(tmp_path, text)
    assert str(tmp_path / "pyproject.toml") in message
    assert said in message


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    message = error_of(tmp_path, GOOD.replace("paths", 'one = 1\nskips = "x"\npaths'))
    assert "gates.g.one: unknown key" in message
    assert 'gates.g.skips: "x" is not "fail" or "allow"' in message
    assert message.count("hint: ") == 2, "each fault has its own"


def test_missing_file_says_where_to_run_pytest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert f"{tmp_path / 'pyproject.toml'}: cannot be read: No such file or directory" in str(
        caught.value
    )
    assert "hint: run pytest in the directory of a pyproject.toml" in str(caught.value)


def test_unknown_environment_names_those_that_exist(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    with pytest.raises(ConfigError, match="unknown environment 'x'") as caught:
        settings.environment("x")
    assert caught.value.hint.endswith("pyproject.toml: local")


def test_thresholds_are_exactly_what_is_written(tmp_path: Path) -> None:
    text = GOOD.replace("paths", "threshold = 0.95\nweight = 0.1\npaths")
    [gate] = load(written(tmp_path, text)).policy.gates
    assert (gate.threshold, gate.weight) == (Fraction(19, 20), Fraction(1, 10))
    assert gate.paths == ("gates",)


def test_policy_is_read_whole(tmp_path: Path) -> None:
    text = GOOD.replace(
        'paths = ["gates/"]',
        'marker = "smoke"\nrequired = false\nleast-checks = 3\nskips = "allow"\nflaky = "allow"',
    )
    text += (
        "[tool.deploygate.phases]\nreadiness = { threshold = 0.5, budget-s = 7 }\n"
        '[tool.deploygate.triggers.t]\nfires-when = ["a < 0.85", "b >= 2"]\nseverity = "low"\n'
        'needed-in = ["candidate"]\n'
    )
    policy = load(written(tmp_path, text)).policy
    [gate], [trigger] = policy.gates, policy.triggers
    assert (gate.marker, gate.required, gate.least_checks) == ("smoke", False, 3)
    assert (gate.skips, gate.flaky) == (Leniency.ALLOW, Leniency.ALLOW)
    assert (trigger.severity, trigger.needed_in) == (Severity.LOW, (Phase.CANDIDATE,))
    assert [c.text for c in trigger.conditions] == ["a < 0.85", "b >= 2"]
    assert policy.phases[Phase.READINESS].threshold == Fraction(1, 2)
    assert policy.phases[Phase.READINESS].budget_s == 7


def test_phases_have_defaults(tmp_path: Path) -> None:
    phases = load(written(tmp_path, GOOD)).policy.phases
    found = {p.value: (str(s.threshold), s.budget_s) for p, s in phases.items()}
    assert found == {
        "readiness": ("19/20", 300),
        "candidate": ("3/4", 300),
        "step": ("1", 120),
        "live": ("1", 120),
    }


def test_trigger_is_needed_in_the_live_phase_or_where_told(tmp_path: Path) -> None:
    base = GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a < 1"]\nseverity = "low"\n'
    [default] = load(written(tmp_path, base)).policy.triggers
    [never] = load(written(tmp_path, base + "needed-in = []\n")).policy.triggers
    assert (default.needed_in, never.needed_in) == ((Phase.LIVE,), ())


@pytest.mark.parametrize(
    ("text", "said"), [("[tool.deploygate.gates.g]", True), ("[tool.other]", False), (None, False)]
)
def test_project_without_settings_is_left_alone(
    tmp_path: Path, text: str | None, said: bool
) -> None:
    if text is not None:
        written(tmp_path, text)
    assert is_configured(tmp_path) is said


def test_settings_that_nobody_writes_are_as_safe_as_can_be(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    local, [gate] = settings.environment("local"), settings.policy.gates
    assert (gate.threshold, gate.weight, gate.required, gate.least_checks) == (
        Fraction(1),
        Fraction(1),
        True,
        1,
    )
    assert (gate.skips, gate.flaky) == (Leniency.FAIL, Leniency.FAIL)
    assert local.engine[:5] == ((TrafficStep(percent=100),), 600, 300, 60, 3)
    assert (local.rolls_back, local.approval, local.freeze) == (True, "none", ())
    assert local.statistics == (600, None, 10)
    spec = local.spec
    assert (spec.memory, spec.timeout_s, spec.public, spec.ingress) == (
        "256Mi",
        60,
        False,
        "",
    )
    assert (settings.default_environment, settings.state) == ("local", "")


def test_settings_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.deploygate]\nstate = '\xff'\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path)


def test_variables_of_a_variant_are_kept_by_its_name(tmp_path: Path) -> None:
    text = GOOD + VERIFY + 'verify-variants.no-sheet = { SHEET = "", DELAY = "1" }\n'
    settings = load(written(tmp_path, text))
    spec = settings.environment("local").spec
    assert spec.verify_variants == {"no-sheet": {"SHEET": "", "DELAY": "1"}}
    assert {"SHEET": "", "DELAY": "1"} in settings.variables
