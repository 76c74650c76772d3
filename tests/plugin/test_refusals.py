"""Options that narrow or falsify a run: refused before anything is touched, with a sentence that says what to do."""

import json

import pytest

from pytest_deploygate.testing import DeploygateProject, SessionOutcome
from tests.plugin.plugin_project import SETTINGS, SUBJECT

NARROW = {
    "-k honest": "-k: it leaves out checks; leave it out, or judge without deploying: --deploy-env",
    "-m mark": "-m: it leaves out checks; leave it out, or judge without deploying: --deploy-env",
    "--deselect gates/cand": "--deselect: it leaves out checks; leave it out",
    "--ignore=gates/cand": "--ignore: it leaves out checks; leave it out",
    "--ignore-glob=*subject*": "--ignore-glob: it leaves out checks; leave it out",
    "--lf": "--lf: it leaves out the checks that passed last time; leave it out",
    "--ff": "--ff: it reorders checks by an earlier run; leave it out",
    "--nf": "--nf: it reorders checks by an earlier run; leave it out",
    "--sw": "--sw: it stops at the first failure; leave it out",
    "--sw-skip": "--sw-skip: it passes over a failure; leave it out",
    "--maxfail=2": "-x or --maxfail: it leaves out the checks behind the first failures; leave it out",
    "-o python_functions=check_*": "-o python_functions: it may change what is collected or how it is judged",
    "--confcutdir=gates": "--confcutdir: it leaves out the conftest files that belong to the checks; leave it out",
}
FALSE = {
    "--setup-only": "--setup-only: it runs no check; leave it out",
    "--setup-plan": "--setup-plan: it runs no check; leave it out",
    "--setup-show": "--setup-show: it is for debugging fixtures; leave it out",
    "--collect-only": "--collect-only: it runs no check; leave it out",
    "--fixtures": "--fixtures: it runs no check; leave it out",
    "--fixtures-per-test": "--fixtures-per-test: it runs no check; leave it out",
    "--runxfail": "--runxfail: it turns an expected failure into a pass; leave it out",
    "--keep-duplicates": "--keep-duplicates: it counts a check twice; leave it out",
    "--continue-on-collection-errors": "a module that cannot be collected is missing evidence; leave it out",
    "--assert=plain": "--assert=plain: assertions in helper modules lose their meaning; leave it out",
    "--pdb": "--pdb: a deployment cannot wait at a prompt; leave it out",
    "--trace": "--trace: a deployment cannot wait at a prompt; leave it out",
    "--doctest-modules": "--doctest-modules: doctests are no checks; leave it out",
    "--pyargs": "--pyargs: the gates of the policy say what is collected; leave it out",
    "--noconftest": "--noconftest: it leaves out the conftest files that belong to the checks; leave it out",
    "-W ignore": "-W ignore: it may hide a check that returns instead of asserting; leave it out",
    "-p no:threadexception": "-p no:threadexception: it hides exceptions in threads; leave it out",
    "-p no:unraisableexception": "-p no:unraisableexception: it hides exceptions in finalisers; leave it out",
    "--timeout-method=thread": "--timeout-method=thread: it ends pytest without a verdict; use signal",
    "--reruns=2": "--reruns: a check that passes the second time is flaky, not passed; leave it out",
}
GROUPS = {"narrow": NARROW, "false": FALSE}


def arguments(group: dict[str, str]) -> list[str]:
    return [part for text in group for part in text.split(" ", 1)]


def check_refused(
    project: DeploygateProject, run: SessionOutcome, platform: str, *sentences: str
) -> None:
    """Exit 4, everything said, nothing touched."""
    assert run.status == 4, run.output
    for sentence in sentences:
        assert sentence in run.output, run.output
    assert project.platform_digest() == platform
    assert run.record is None


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("way", ["arguments", "PYTEST_ADDOPTS", "addopts"])
def test_option_is_refused_however_it_is_given(
    project: DeploygateProject, way: str, group: dict[str, str]
) -> None:
    platform, args = project.platform_digest(), arguments(group)
    if way == "arguments":
        run = project.deploy(*args)
    elif way == "PYTEST_ADDOPTS":
        quoted = " ".join(f"'{a}'" for a in args)
        run = project.deploy(PYTEST_ADDOPTS=quoted)
    else:
        own = json.dumps(["--import-mode=importlib", *args])
        project.write({"pyproject.toml": SETTINGS.replace('["--import-mode=importlib"]', own)})
        run = project.deploy()
    check_refused(
        project, run, platform, "this session cannot decide a deployment", *group.values()
    )
    assert run.property("verdict") == "REFUSE"
    assert run.property("reason_code") == "could_not_act"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("gates/cand",), "gates/cand: the gates of the policy say what is collected"),
        (
            ("gates/cand/test_honest.py::test_honest",),
            "test_honest: the gates of the policy say what is collected; leave paths and node ids out",
        ),
        (("-p", "no:warnings"), "-p no:warnings: it hides checks that return instead of asserting"),
        (
            ("-c", "sub/pytest.ini", "--rootdir=."),
            "-c: the settings of the project decide; run without it",
        ),
        (
            ("-c", "other.toml"),
            "-c: the settings of the project decide; run without it",
        ),
        (("--deploy-to=",), "--deploy-to is empty"),
        (("--deploy-reason= ",), "--deploy-reason is empty"),
        (("--deploy-endpoint=",), "--deploy-endpoint"),
        (("--snapshot-update",), "--snapshot-update: it makes what is expected of what was found"),
        (("-x",), "-x or --maxfail: it leaves out the checks behind the first failures"),
        (("--deploy-env=fake",), "--deploy-to and --deploy-env exclude each other"),
        (("--deploy-override=cand",), "--deploy-override=cand: the reason is missing"),
        (("--junitxml=function/main.py/junit.xml",), "junit.xml cannot be written"),
        (
            ("--junitxml=/dev/full",),
            "the JUnit file /dev/full cannot be written: No space left on device",
        ),
        (("--deploy-to=nowhere",), "unknown environment 'nowhere'"),
        (("-m", "rollback-checks"), "-m: it leaves out checks"),
        (
            ("-p", "no:deploygate-redacting"),
            "-p no:deploygate-redacting: it takes out a part of this plugin; leave it out",
        ),
        (("-p", "no:deploygate-auditor"), "-p no:deploygate-auditor: it takes out a part of this"),
        (("-p", "no:deploygate-session"), "-p no:deploygate-session: it takes out a part of this"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_option_is_refused(
    project: DeploygateProject, args: tuple[str, ...], sentence: str
) -> None:
    snapshots = "'--snapshot-update', dest='update_snapshots', action='store_true'"
    project.write(
        {
            "sub/pytest.ini": "[pytest]\n",
            "other.toml": "[tool.pytest.ini_options]\n",
            "conftest.py": f"def pytest_addoption(parser): parser.addoption({snapshots})\n",
        }
    )
    platform = project.platform_digest()
    check_refused(project, project.deploy(*args), platform, sentence)


@pytest.mark.parametrize("dist", ["loadscope", "loadfile", "loadgroup", "each"])
def test_other_schedulers_are_refused(project: DeploygateProject, dist: str) -> None:
    platform = project.platform_digest()
    run = project.deploy(f"--dist={dist}", workers=2)
    said = f"--dist={dist}: with it a crash can hang or repeat checks; use load or worksteal"
    check_refused(project, run, platform, said)


def test_optimised_interpreter_is_refused(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.deploy(PYTHONOPTIMIZE="1")
    check_refused(
        project, run, platform, "PYTHONOPTIMIZE or -O: assert statements do not run; unset it"
    )


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (("-p", "no:deploygate"), {}),
        ((), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
    ],
    ids=["-p no:deploygate", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"],
)
def test_deployment_without_the_plugin_fails_closed(
    project: DeploygateProject, args: tuple[str, ...], env: dict[str, str]
) -> None:
    platform = project.platform_digest()
    run = project.pytest("--deploy-to=fake", *args, **env)
    check_refused(project, run, platform, "unrecognized arguments")


def test_usage_error_of_pytest_is_the_reason(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.deploy("--nonsense")
    check_refused(project, run, platform, "unrecognized arguments: --nonsense")
    assert (
        run.property("reason") == "pytest ended with a usage error before it collected, see above"
    )
    assert "said nothing" not in run.output


def test_gates_that_share_a_check_are_refused(project: DeploygateProject) -> None:
    project.add_settings('\n[tool.deploygate.gates.all]\nphase = "candidate"\npaths = ["gates"]\n')
    platform = project.platform_digest()
    check_refused(project, project.deploy(), platform, "belongs to several gates")


def test_plan_may_narrow_and_says_that_it_would_be_refused(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.deploy("--deploy-plan", "-k", "honest")
    assert run.status == 1, run.output
    assert "1 passed" in run.output
    assert "gcloud run services update-traffic" in run.output
    assert f"{SUBJECT}::test_subject was taken out of the run after collection" in run.output
    assert project.platform_digest() == platform


def test_judging_may_narrow_and_knows_nothing_then(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.pytest("-n0", "--deploy-env=fake", "-k", "honest")
    assert run.status == 1, run.output
    assert "3 passed" in run.output
    assert "-k: it leaves out checks; leave it out\n" in run.output
    assert run.property("verdict") == "UNKNOWN"
    assert project.platform_digest() == platform


@pytest.mark.parametrize("mode", [("--deploy-env=fake",), ("-m", "rollback-checks")])
@pytest.mark.parametrize(
    "narrowed",
    [
        ("gates/live",),
        pytest.param(("--ignore=gates/cand",), marks=pytest.mark.full),
        ("-o", "python_files=test_l*.py"),
        pytest.param(("--runxfail",), marks=pytest.mark.full),
        pytest.param(("--deselect=gates/live/test_more.py",), marks=pytest.mark.full),
    ],
    ids=lambda words: words[0],
)
def test_narrowed_judging_is_unknown(
    project: DeploygateProject, before: str, mode: tuple[str, ...], narrowed: tuple[str, ...]
) -> None:
    more = {"gates/live/test_more.py": "def test_more(): pass\n"}
    run = project.write(more).pytest("-n0", *mode, *narrowed)
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("verdict") == "UNKNOWN", run.output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--deploy-env=",), "--deploy-env is empty"),
        (("-m", "rollback-checks and not slow"), "the live gates are judged whole or not at all"),
        (("-m", "rollback-checks or smoke"), "run: pytest -m rollback-checks"),
    ],
)
def test_judging_of_nothing_that_can_be_known_is_a_usage_error(
    project: DeploygateProject, args: tuple[str, ...], sentence: str
) -> None:
    run = project.pytest("-n0", *args)
    assert run.status == 4, run.output
    assert sentence in run.output


@pytest.mark.parametrize(
    ("option", "needed"),
    [
        ("--deploy-plan", "--deploy-to=ENV"),
        ("--deploy-detach", "--deploy-to=ENV"),
        ("--deploy-steps=none", "--deploy-to=ENV"),
        ("--deploy-reason=x", "--deploy-to=ENV"),
        ("--deploy-override=cand:x", "--deploy-to=ENV"),
        ("--deploy-approval=x", "--deploy-to=ENV"),
        ("--deploy-report-only", "-m rollback-checks"),
    ],
)
def test_an_option_of_a_deployment_without_environment_does_not_end_well(
    project: DeploygateProject, option: str, needed: str
) -> None:
    """A job whose ``--deploy-to`` was lost runs the tests, is green, and deploys nothing."""
    platform = project.platform_digest()
    for more in ((), ("-m", "not slow")):
        run = project.pytest("-n0", option, *more)
        sentence = (
            f"{option.partition('=')[0]} without {needed}: nothing would be deployed or judged"
        )
        check_refused(project, run, platform, sentence, f"hint: add {needed}")


@pytest.mark.parametrize("way", ["PYTEST_ADDOPTS", "addopts"])
@pytest.mark.parametrize(
    "option",
    ["--deploy-plan", "--deploy-reason=x", "--deploy-override=cand:x", "--deploy-approval=x"],
)
def test_what_a_person_says_is_taken_from_the_command_line_alone(
    project: DeploygateProject, way: str, option: str
) -> None:
    platform = project.platform_digest()
    if way == "addopts":
        own = json.dumps(["--import-mode=importlib", option])
        project.write({"pyproject.toml": SETTINGS.replace('["--import-mode=importlib"]', own)})
        run = project.deploy()
    else:
        run = project.deploy(PYTEST_ADDOPTS=f"'{option}'")
    sentence = f"{option.partition('=')[0]} is taken from the command line alone"
    check_refused(project, run, platform, sentence)


def test_settings_that_are_wrong_are_all_told_by_key_with_what_to_write(
    project: DeploygateProject,
) -> None:
    platform = project.platform_digest()
    wrong = SETTINGS.replace("paths = ", 'treshold = 1\nweight = "two"\npaths = ', 1)
    project.write({"pyproject.toml": wrong})
    check_refused(
        project,
        project.deploy(),
        platform,
        "2 settings are wrong:\n",
        ".treshold: unknown key\n    hint: did you mean threshold?",
        '.weight: "two" is not a number above 0\n    hint: for example: weight = 2',
    )
