"""Settings: what is read, and errors that name the file, the key, what is wrong with it and what is allowed."""

import json
import stat
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_deploygate import is_configured
from pytest_deploygate.config import loader
from pytest_deploygate.config.settings import load
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.policy import Leniency

GATES = '[tool.deploygate.gates.g]\nphase = "live"\npaths = ["gates/"]\n'
FUNCTION = '[tool.deploygate.function]\nfunction = "f"\nruntime = "python312"\nentry-point = "f"\nsource = "src"\n'
ENVIRONMENT = '[tool.deploygate.environments.local]\ntarget = "local"\n'
GOOD = GATES + FUNCTION + ENVIRONMENT


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
        "tool.deploygate.gate: unknown key; did you mean gates? (allowed: ",
    ),
    "unknown key of a gate": (
        GOOD.replace("paths", "treshold = 1\npaths"),
        "tool.deploygate.gates.g.treshold: unknown key; did you mean threshold? (allowed: phase, paths, ",
    ),
    "unknown key without a neighbour": (
        GOOD.replace("paths", "zzz = 1\npaths"),
        "tool.deploygate.gates.g.zzz: unknown key (allowed: ",
    ),
    "missing gates": (FUNCTION + ENVIRONMENT, "tool.deploygate: the key gates is missing"),
    "missing environments": (GATES + FUNCTION, "tool.deploygate: the key environments is missing"),
    "missing phase": (
        GOOD.replace('phase = "live"\n', ""),
        "tool.deploygate.gates.g: the key phase is missing",
    ),
    "missing target": (
        GOOD.replace('target = "local"', "port = 1"),
        "tool.deploygate.environments.local: the key target is missing",
    ),
    "neither paths nor marker": (
        GOOD.replace('paths = ["gates/"]\n', ""),
        "tool.deploygate.gates.g: needs one of the keys: paths, marker",
    ),
    "unknown phase": (
        GOOD.replace('"live"', '"lively"'),
        'tool.deploygate.gates.g.phase: "lively" is not one of readiness, candidate, live',
    ),
    "threshold as text": (
        GOOD + '[tool.deploygate.phases]\nlive = { threshold = "0.9" }\n',
        'tool.deploygate.phases.live.threshold: "0.9" is not of type number',
    ),
    "threshold above one": (
        GOOD + "[tool.deploygate.phases]\nlive = { threshold = 1.01 }\n",
        "tool.deploygate.phases.live.threshold: 1.01 is out of range (maximum 1)",
    ),
    "threshold below zero": (
        GOOD + "[tool.deploygate.phases]\nlive = { threshold = -1 }\n",
        "tool.deploygate.phases.live.threshold: -1 is out of range (minimum 0)",
    ),
    "weight of nothing": (
        GOOD.replace("paths", "weight = 0\npaths"),
        "tool.deploygate.gates.g.weight: 0 is out of range (exclusiveMinimum 0)",
    ),
    "no checks needed": (
        GOOD.replace("paths", "least-checks = 0\npaths"),
        "tool.deploygate.gates.g.least-checks: 0 is out of range (minimum 1)",
    ),
    "no budget": (
        GOOD + "[tool.deploygate.phases]\nlive = { budget-s = 0 }\n",
        "tool.deploygate.phases.live.budget-s: 0 is out of range (minimum 1)",
    ),
    "leniency": (
        GOOD.replace("paths", 'skips = "maybe"\npaths'),
        'tool.deploygate.gates.g.skips: "maybe" is not one of fail, allow',
    ),
    "required as text": (
        GOOD.replace("paths", 'required = "yes"\npaths'),
        'tool.deploygate.gates.g.required: "yes" is not of type boolean',
    ),
    "condition of another form": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a == 1"]\nseverity = "high"\n',
        'tool.deploygate.triggers.t.fires-when.0: "a == 1" does not have the form',
    ),
    "condition with nan": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a < nan"]\nseverity = "high"\n',
        'tool.deploygate.triggers.t.fires-when.0: "a < nan" does not have the form',
    ),
    "severity": (
        GOOD + '[tool.deploygate.triggers.t]\nfires-when = ["a < 1"]\nseverity = "bad"\n',
        'tool.deploygate.triggers.t.severity: "bad" is not one of critical, high, medium, low',
    ),
    "default environment": (
        '[tool.deploygate]\ndefault-environment = "nowhere"\n' + GOOD,
        "tool.deploygate.default-environment: 'nowhere' is not an environment (there are: local)",
    ),
    "shared path": (
        GOOD + '[tool.deploygate.gates.h]\nphase = "live"\npaths = ["gates"]\n',
        "tool.deploygate.gates.h.paths: gates already belongs to gate g; a check belongs to one gate",
    ),
    "missing function": (
        GATES + ENVIRONMENT,
        "tool.deploygate.environments.local: the key function is missing (here or in [tool.deploygate.function])",
    ),
    "google without a project": (
        GOOD.replace('target = "local"', 'target = "google"'),
        "tool.deploygate.environments.local: the key project is missing",
    ),
    "steps that descend": (
        GOOD + "steps = [50, 10, 100]\n",
        "tool.deploygate.environments.local.steps: must ascend and end with 100, got [50, 10, 100]",
    ),
    "steps that do not arrive": (
        GOOD + "steps = [10, 50]\n",
        "tool.deploygate.environments.local.steps: must ascend and end with 100, got [10, 50]",
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
    assert 'gates.g.skips: "x" is not one of' in message


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


def remembered(root: Path, text: str) -> Path:
    """Settings that were found right in a project that has a state folder; the note that was made of it."""
    (root / ".deploygate").mkdir()
    load(written(root, text))
    return root / ".deploygate" / "settings.json"


def test_settings_that_were_found_right_are_not_held_to_the_schema_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = remembered(tmp_path, GOOD.replace("paths", "threshold = 0.95\nweight = 0.1\npaths"))
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    monkeypatch.setattr(loader, "check", None)
    settings = load(tmp_path)
    [gate] = settings.policy.gates
    assert (gate.threshold, gate.weight) == (Fraction(19, 20), Fraction(1, 10))
    assert settings.environment("local").spec.function == "f"


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD + "[tool.deploygate.gate.x]\n",
        GOOD.replace(
            "[tool.deploygate.gates.g]",
            '[tool.deploygate]\ndefault-environment = "x"\n[tool.deploygate.gates.g]',
        ),
        GOOD + "gates.h.skips = 'allow'\n",
    ],
)
def test_settings_that_were_changed_or_found_wrong_are_checked(tmp_path: Path, wrong: str) -> None:
    note = remembered(tmp_path, GOOD)
    before = note.read_bytes()
    for _ in range(2):
        error_of(tmp_path, wrong)
    assert note.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff", b'{"text": "", "schema": "", "table": {}}', b"NO TABLE"]
)
def test_note_of_settings_that_says_nothing_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    note = remembered(tmp_path, GOOD)
    known = json.loads(note.read_bytes())
    known["table"] = None
    note.write_bytes(damage.replace(b"NO TABLE", json.dumps(known).encode()))
    assert load(tmp_path).environment_names == ("local",)


def test_settings_found_right_by_another_schema_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered(tmp_path, GOOD)
    other = tmp_path / "schema.json"
    other.write_text('{"required": ["something"]}')
    monkeypatch.setattr(loader, "_SCHEMA", other)
    with pytest.raises(ConfigError, match="the key something is missing"):
        load(tmp_path)


def test_phases_have_defaults(tmp_path: Path) -> None:
    phases = load(written(tmp_path, GOOD)).policy.phases
    found = {p.value: (str(s.threshold), s.budget_s) for p, s in phases.items()}
    assert found == {"readiness": ("19/20", 300), "candidate": ("3/4", 300), "live": ("1", 120)}


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
