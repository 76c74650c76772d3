"""Secrets that checks stumble over appear nowhere: terminal, JUnit file, log, record, backups, commands."""

import base64
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_deploygate.testing import SessionOutcome
from tests.cli.cli_project import CliProject

SECRETS = {
    "environment": "planted-in-the-environment",
    "file": "planted-in-the-secrets-file",
    "header": "planted-in-a-header-0123456789",
    "signature": "planted-in-a-signature",
    "password": "planted-in-a-database-url",
    "lines": "planted-line-one",
    "like a path": "/planted-like/a+path&<more>",
    "by a short name": "planted-as-a-signing-key",
    "expected to fail": "planted-as-a-password",
}
LEAKS = """\
import base64
import html
import json
import logging
import os
import shlex
import urllib.parse
import warnings
from pathlib import Path

import pytest

KEY = os.environ["SHOP_API_KEY"]
FILE = Path("secrets.toml").read_text().split('"')[1]
HEADER = "Authorization: Bearer planted-in-a-header-0123456789"
SIGNED = "https://storage.example/o?X-Goog-Expires=9&X-Goog-Signature=planted-in-a-signature&x=1"
DSN = "postgresql://project:planted-in-a-database-url@db/project"


PATH = os.environ["SHOP_PASSWORD"]
SK = os.environ["SHOP_SK"]
PASS = os.environ["SHOP_PASS"]


@pytest.mark.xfail(reason=f"the password is {PASS}")
def test_expected():
    assert False


@pytest.mark.xfail(reason=f"the password was {PASS}", strict=True)
def test_expected_in_vain():
    pass


def test_measured(measure):
    measure(f"speed of {SK}", 1.5, unit=f"per {PASS}")


def test_forms():
    texts = [PATH, repr(PATH), json.dumps(PATH), html.escape(PATH), shlex.quote(PATH), str(PATH.encode())]
    texts += [urllib.parse.quote(PATH), urllib.parse.quote(PATH, safe=""), urllib.parse.quote_plus(PATH)]
    texts += [base64.b64encode(f"{'x' * n}:{PATH}:".encode()).decode() for n in range(3)]
    print("\\n".join(texts))
    raise AssertionError(" | ".join(texts))


def test_assertion():
    answer = {"key": KEY, "file": FILE}
    assert answer == {"key": "", "file": ""}, f"{HEADER} {SIGNED} {DSN}"


def test_exception():
    local = KEY
    try:
        raise ValueError(KEY)
    except ValueError as error:
        raise RuntimeError(f"{FILE} {HEADER}") from error


def test_output(record_property, record_testsuite_property):
    print(KEY, SIGNED)
    logging.getLogger("project").error("%s %s", FILE, os.environ["SHOP_PRIVATE_KEY"])
    record_property("token", KEY)
    record_testsuite_property("token", FILE)
    warnings.warn(f"deprecated: {KEY}", UserWarning)
    assert os.environ["SHOP_PRIVATE_KEY"] == ""


@pytest.fixture
def broken():
    raise LookupError(KEY)


def test_fixture(broken):
    pass


def test_skip():
    pytest.skip(f"no {KEY}")


@pytest.mark.parametrize("value", [KEY, f"x{FILE}", f"x{KEY}"])
def test_parameters(value):
    assert not value


def test_parts(subtests, record_property):
    record_property(f"name {KEY}", [KEY, {"file": FILE}])
    with subtests.test(msg=f"part {KEY}", file=FILE):
        raise KeyError(KEY)
"""


@pytest.fixture
def leaking(project: CliProject) -> CliProject:
    project.write_settings(environment='secrets-file = "secrets.toml"')
    (project.root / "secrets.toml").write_text(f'gemini-api-key = "{SECRETS["file"]}"\n')
    return project


VARIABLES = {
    "SHOP_API_KEY": SECRETS["environment"],
    "SHOP_PRIVATE_KEY": "-----BEGIN\nplanted-line-one\n",
    "SHOP_PASSWORD": SECRETS["like a path"],
    "SHOP_SK": SECRETS["by a short name"],
    "SHOP_PASS": SECRETS["expected to fail"],
}
IN_BASE64 = {
    base64.b64encode(b"x" * n + SECRETS["like a path"].encode()).decode()[4:-4] for n in range(3)
}


PARTS = ("planted", "secrets-file", "line-one")
"""What must not be left of them where a long comparison was shortened."""


def check_nothing_leaked(project: CliProject, *sessions: SessionOutcome) -> None:
    texts = {f"output {i}": done.out + done.err for i, done in enumerate(sessions)}
    for path in [project.root / "report.xml", *(project.root / ".deploygate").rglob("*")]:
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("utf-8", errors="replace")
    assert any(name.endswith("state.db") for name in texts)
    assert any(name.endswith("log.jsonl") for name in texts)
    wanted = [*SECRETS.values(), *IN_BASE64, "planted-like", "more&gt;", "%3Cmore"]
    found = [(name, what) for name, text in texts.items() for what in wanted if what in text]
    assert found == []


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.full)])
def test_secrets_of_failing_checks_appear_nowhere(leaking: CliProject, workers: str) -> None:
    suite = leaking.root / "suites" / "test_health.py"
    suite.write_text(LEAKS)
    session = leaking.release(
        "v3",
        workers,
        "-rA",
        "--showlocals",
        "--junitxml=report.xml",
        "--deploy-reason=checks that leak",
        **VARIABLES,
    )
    assert session.status == 1
    assert "***" in session.out
    for name in ("test_assertion", "test_exception", "test_output", "test_fixture", "no ***"):
        assert name in session.out
    leaks = [line for line in session.out.splitlines() if any(part in line for part in PARTS)]
    assert leaks == []
    assert "RuntimeError: *** Authorization: Bearer ***" in session.out
    assert "X-Goog-Signature=***&x=1" in session.out, "the rest of an address stays readable"
    for name in ("[***]", "[x***0]", "[x***1]"):
        assert f"test_parameters{name}" in session.out, "checks are still told apart"
    assert "XFAIL" in session.out
    assert "the password is ***" in session.out
    shown = leaking.deploygate("show", "last", **VARIABLES)
    assert "speed of ***" in shown.out
    told = leaking.deploygate("show", "last", "--json", **VARIABLES)
    history = leaking.deploygate("history", "--json", **VARIABLES)
    check_nothing_leaked(leaking, session, shown, told, history)


def test_secrets_of_a_module_that_cannot_be_collected_appear_nowhere(leaking: CliProject) -> None:
    suite = leaking.root / "suites" / "test_health.py"
    suite.write_text(f"{LEAKS}\nraise SystemError(KEY + FILE)\n")
    session = leaking.release("v3", "--junitxml=report.xml", **VARIABLES)
    assert session.status != 0
    check_nothing_leaked(leaking, session)


def test_secrets_that_a_person_types_appear_nowhere(leaking: CliProject) -> None:
    reason = f"the key {SECRETS['environment']} leaked, see https://x.example/?token=planted-in-a-signature"
    done = leaking.deploygate(
        "rollback", "fake", "--reason", reason, "--yes", "--json", **VARIABLES
    )
    assert done.status == 0
    assert "the key *** leaked" in done.out
    history = leaking.deploygate("history", **VARIABLES)
    wrong = leaking.deploygate("show", SECRETS["environment"], **VARIABLES)
    check_nothing_leaked(leaking, done, history, wrong)


def test_secrets_in_an_error_of_the_target_appear_nowhere(leaking: CliProject) -> None:
    (leaking.root / "broken.py").write_text(
        dedent("""
            import os
            from pytest_deploygate.core.errors import TargetUnavailable


            def make(environment, settings, clock):
                raise TargetUnavailable("refused: " + os.environ["SHOP_API_KEY"])
        """)
    )
    pyproject = leaking.root / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(
            "pytest_deploygate.testing.target_on_disk:make", "broken:make"
        )
    )
    here = {**VARIABLES, "PYTHONPATH": f"{leaking.root}:{leaking.all_variables()['PYTHONPATH']}"}
    session = leaking.release("v3", "--junitxml=report.xml", **here)
    assert session.status == 10
    assert "refused: ***" in session.out
    checked = leaking.deploygate("watch", "--once", **here)
    status = leaking.deploygate("status", **here)
    check_nothing_leaked(leaking, session, checked, status)


def test_record_and_log_are_for_their_owner_alone(project: CliProject) -> None:
    for path in ("state.db", "log.jsonl"):
        mode = Path(project.root / ".deploygate" / path).stat().st_mode
        assert mode & 0o077 == 0, path


def test_secret_that_is_allowed_is_told_by_plan_session_and_record(project: CliProject) -> None:
    project.write_settings(environment='allowed-secrets = { "main.*" = "made up for tests" }')
    key = "AIza" + "Sy" + "0123456789abcdefghijklmnopqrstuvw"
    project.write({"main.py": f"KEY = '{key}'\n"})
    place = "main.py:1 looks like a Google API key"
    plan = project.deploygate("plan")
    assert place in plan.out
    assert "made up for tests" in plan.out
    assert project.deploygate("plan", "--json").json["allowed_secrets"] == {
        place: "made up for tests"
    }
    session = project.release(f"KEY = '{key}'\n", "--junitxml=report.xml")
    assert session.status == 0
    told = f"{place}: made up for tests"
    assert told in session.out
    assert told in project.deploygate("show", "last").out
    assert told in (project.root / "report.xml").read_text()
    assert key not in plan.out + session.out


FORGED = "orders\n::error file=app.py::forged\n\x1b[2Jcleared\r::add-mask::x ##[error]forged"


def check_nothing_steers(*outputs: str) -> None:
    for output in outputs:
        assert "forged" in output
        assert not any(line.lstrip().startswith("::") for line in output.splitlines())
        assert not {"\x1b", "\r"} & set(output)
        assert "##[" not in output


def test_reason_of_a_rollback_forges_no_line_of_the_log(project: CliProject) -> None:
    done = project.deploygate("rollback", "fake", "--reason", FORGED, "--yes")
    assert done.status == 0
    shown, history = project.deploygate("show", "last"), project.deploygate("history")
    check_nothing_steers(done.out + done.err, shown.out, history.out)


def test_error_of_the_target_forges_no_line_of_the_log(project: CliProject) -> None:
    (project.root / "broken.py").write_text(
        dedent(f"""
            from pytest_deploygate.core.errors import TargetUnavailable


            def make(environment, settings, clock):
                raise TargetUnavailable({FORGED!r})
        """)
    )
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(
            "pytest_deploygate.testing.target_on_disk:make", "broken:make"
        )
    )
    here = {"PYTHONPATH": f"{project.root}:{project.all_variables()['PYTHONPATH']}"}
    session = project.release("v3", "-q", **here)
    status = project.deploygate("status", **here)
    check_nothing_steers(session.out + session.err, status.out + status.err)
