"""status, history, show, backups, plan: what a person sees, and what a script reads."""

import re
import subprocess
import sys
from textwrap import dedent

import pytest

from tests.cli.cli_project import CliProject


def test_status_tells_what_serves_and_who_may_act(project: CliProject) -> None:
    done = project.deploygate("status")
    assert done.status == 0
    facts = done.out.partition("\n\n")[0].splitlines()
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in facts)
    assert lines["serving"] == "svc-00002 100 %"
    assert lines["traffic"] == "follows LATEST"
    assert lines["judged good"] == "yes"
    assert lines["lease"] == "free"
    assert lines["watchdog"].startswith("off")
    assert "dg-prev" in done.out
    assert "\x1b" not in done.out


def test_status_as_json_says_the_same(project: CliProject) -> None:
    found = project.deploygate("status", "fake", "--json").json
    assert found["serving"] == {"svc-00002": 100}
    assert found["follows_latest"] is True
    assert found["is_judged_good"] is True
    assert found["lease"] is None
    assert found["problems"] == []
    assert found["tags"] == {
        "dg-prev": {"revision": "svc-00001", "url": "https://dg-prev---svc.example"}
    }
    last = found["last_rollout"]
    assert isinstance(last, dict)
    assert last["state"] == "PROMOTED"


@pytest.mark.parametrize("command", ["status", "history"])
def test_looking_loads_no_library_that_it_does_not_need(project: CliProject, command: str) -> None:
    settings = project.root / "pyproject.toml"
    light = settings.read_text().replace(
        "pytest_deploygate.testing.target_on_disk:make", "benchmarks.standing:make"
    )
    settings.write_text(light)
    script = dedent(f"""
        import sys
        from pytest_deploygate.cli import main

        sys.argv = ["deploygate", {command!r}]
        try:
            main()
        finally:
            print("loaded:", *sys.modules, file=sys.stderr)
    """)
    kept = {k: v for k, v in project.all_variables().items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.rpartition("loaded:")[2].split())
    assert "pytest_deploygate.store.sql" in loaded
    heavy = {"jsonschema", "requests", "rich", "pytest", "psycopg", "google.auth", "sqlalchemy"}
    assert not loaded & heavy


def test_settings_that_may_not_be_read_are_not_told_as_missing(project: CliProject) -> None:
    (project.root / "pyproject.toml").chmod(0)
    done = project.deploygate("status", UNPRIVILEGED="1")
    assert done.status == 4
    assert f"{project.root / 'pyproject.toml'}: cannot be read: Permission denied" in done.err


def test_status_before_the_first_release_is_no_error(new: CliProject) -> None:
    done = new.deploygate("status")
    assert done.status == 0
    assert "nothing is deployed" in done.out


def test_status_shows_the_target_when_the_record_cannot_be_read(project: CliProject) -> None:
    (project.root / ".deploygate" / "state.db").write_bytes(b"not a database" * 100)
    done = project.deploygate("status")
    assert done.status == 10
    assert "svc-00002 100 %" in done.out
    assert "could not look: record:" in done.out
    assert "lease" not in done.out, "nobody can tell whether it is free"
    assert re.search(r"rollback to +svc-00001", done.out), "the service itself remembers it"
    assert "deploygate rollback fake --emergency" in done.out


def test_status_names_the_rollback_figures(project: CliProject) -> None:
    assert project.deploygate("status", "--json").json["rollback_target"] == "svc-00001"
    assert project.deploygate("rollback", "fake", "--reason", "x", "--yes").status == 0
    found = project.deploygate("status", "--json").json
    assert found["rollback_target"] == ""
    assert "no revision besides the one that serves is known to be good" in str(
        found["no_rollback_target"]
    )
    assert "rollback to  none: no revision" in project.deploygate("status").out


def test_status_shows_the_record_when_the_target_cannot_be_read(project: CliProject) -> None:
    (project.root / "fake.pickle").unlink()
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("on_disk:make", "on_disk:missing"))
    found = project.deploygate("status", "--json")
    assert found.status == 10
    problems, last = found.json["problems"], found.json["last_rollout"]
    assert isinstance(problems, list)
    assert "cannot be loaded" in problems[0]
    assert isinstance(last, dict)
    assert last["state"] == "PROMOTED"


def test_status_of_a_local_environment_does_not_start_the_emulator(new: CliProject) -> None:
    new.write_settings(environment='[tool.deploygate.environments.here]\ntarget = "local"')
    done = new.deploygate("status", "here", "--json")
    assert done.status == 10
    assert done.json["emulator"] == {"is_up": False, "endpoint": "", "pid": 0}
    assert new.deploygate("local", "status").status == 10
    assert not (new.root / ".deploygate" / "local" / "emulator.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "nowhere"], "environments in"),
        (
            ["stat"],
            "error: there is no command 'stat'; did you mean status?\nhint:  deploygate --help",
        ),
        (["status", "--nonsense"], "error: no such option"),
        (
            ["rollback", "fake"],
            "error: missing option '--reason'\nhint:  deploygate rollback --help",
        ),
        (["rollback", "fake", "--reason", " ", "--yes"], "say why, in words"),
        (["rollback", "fake", "--reason", "--yes"], "say why, in words"),
        (["local", "inject-fault", "svc-1"], "say what it shall do"),
        (["--project", "suites", "status"], "no pyproject.toml with a [tool.deploygate] table"),
        (["show", "2099"], "there is no rollout"),
        (["history", "--limit", "-3"], "'--limit': '-3' is not a whole number from 1 on"),
        (["history", "--limit", "many"], "'--limit': 'many' is not a whole number from 1 on"),
        (
            ["local", "inject-fault", "svc-1", "--error-ratio", "2"],
            "'--error-ratio': '2' is not a number from 0 to 1",
        ),
        (["local", "load", "--rps", "0"], "'--rps': '0' is not a number above 0 to "),
    ],
)
def test_wrong_command_line_is_a_usage_error(
    project: CliProject, arguments: list[str], said: str
) -> None:
    done = project.deploygate(*arguments)
    assert done.status == 4
    assert said in done.err
    assert "Traceback" not in done.err


def test_command_outside_of_a_project_says_where_to_go(new: CliProject) -> None:
    (new.root / "pyproject.toml").unlink()
    done = new.deploygate("status")
    assert done.status == 4
    assert "go into the project" in done.err


def test_command_finds_the_project_above_and_by_option(project: CliProject) -> None:
    below = CliProject(root=project.root / "suites")
    assert "svc-00002" in below.deploygate("status").out
    elsewhere = CliProject(root=project.root.parent)
    assert "svc-00002" in elsewhere.deploygate("--project", str(project.root), "status").out


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["show", "2099", "--json"], "ConfigError", "there is no rollout '2099'"),
        (["rollback", "fake", "--json"], "UsageError", "missing option '--reason'"),
        (["rollback", "fake", "--reason", "x", "--json"], "UsageError", "add --yes"),
        (["local", "inject-fault", "x", "--json"], "UsageError", "say what it shall do"),
        (["nonsense", "--json"], "UsageError", "there is no command 'nonsense'"),
    ],
)
def test_error_is_json_where_json_was_asked_for(
    project: CliProject, arguments: list[str], kind: str, said: str
) -> None:
    done = project.deploygate(*arguments)
    error = done.json["error"]
    assert isinstance(error, dict)
    assert error["kind"] == kind
    assert said in error["message"]
    assert error["exit_status"] == done.status == 4


def test_history_lists_the_newest_first_and_as_many_as_asked(project: CliProject) -> None:
    found = project.deploygate("history", "--json").json["rollouts"]
    assert isinstance(found, list)
    assert [one["revision"] for one in found] == ["svc-00002", "svc-00001"]
    assert found[0]["duration_seconds"] > 0
    assert len(project.deploygate("history", "fake", "--limit", "1").out.splitlines()) == 2


def test_history_of_a_new_project_says_what_to_do(new: CliProject) -> None:
    done = new.deploygate("history")
    assert (done.status, "pytest --deploy-to=ENV" in done.out) == (0, True)


def test_show_has_gates_and_journal_and_takes_a_part_of_the_id(project: CliProject) -> None:
    rollouts = project.deploygate("history", "--json").json["rollouts"]
    assert isinstance(rollouts, list)
    newest = str(rollouts[0]["rollout_id"])
    found = project.deploygate("show", newest[-6:], "--json").json
    assert found["gates"] == {
        "readiness": "1/1 PASSED",
        "health": "1/1 PASSED",
        "live": "1/1 PASSED",
    }
    journal = found["journal"]
    assert isinstance(journal, list)
    assert [step["name"] for step in journal][:2] == ["ready", "backup"]
    assert [step["sequence"] for step in journal] == list(range(1, len(journal) + 1))
    assert found["updates_base_image"] is False
    shown = project.deploygate("show", "last").out
    assert newest in shown
    assert project.deploygate("show").out == shown
    assert "base image" in shown
    assert "updated by rollouts alone" in shown


def test_show_names_the_checks_that_did_not_pass(project: CliProject) -> None:
    project.say("health", "bad")
    assert project.release("v3").status == 1
    done = project.deploygate("show", "last")
    assert "suites/test_health.py::test_health  failed" in done.out
    assert "0/1 FAILED" in done.out


def test_backups_tells_whether_they_are_whole(project: CliProject) -> None:
    found = project.deploygate("backups", "--json").json["backups"]
    assert isinstance(found, list)
    assert [(b["revision"], b["condition"]) for b in found] == [("svc-00001", "missing")]


@pytest.mark.full
def test_plan_has_the_digest_that_the_session_prints(project: CliProject) -> None:
    project.write({"main.py": "v3"})
    digest = project.deploygate("plan", "--json").json["plan_digest"]
    printed = project.pytest("--deploy-to=fake", "--deploy-plan")
    assert f"plan: digest {digest}" in printed.out
    serving = project.deploygate("status", "--json").json["serving"]
    assert isinstance(serving, dict)
    [revision] = serving
    assert "traffic now: " in printed.out
    assert f"traffic while it is judged: {revision}=100;dg-cand>CANDIDATE\n" in printed.out
    assert "traffic on promotion: CANDIDATE=100\n" in printed.out
    assert f"traffic if it goes back: {revision}=100\n" in printed.out
    assert str(digest) in project.deploygate("plan", "fake").out
    assert "setting: rollback-budget-s = 2\n" in printed.out
    assert "setting: rollout-budget-s = 600 (default)\n" in printed.out
    assert re.search(r"rollout-budget-s +600 +default", project.deploygate("plan", "fake").out)
    project.write({"main.py": "v4"})
    assert project.deploygate("plan", "fake", "--format", "json").json["plan_digest"] != digest


def test_plan_shows_old_and_new_settings_and_counts_them(project: CliProject) -> None:
    same = project.deploygate("plan")
    assert "Plan: settings: 0 to add, 0 to change, 0 to remove, " in same.out
    assert "; the source is the same" in same.out
    project.write({"main.py": "v3"})
    project.write_settings(environment='memory = "1GiB"\nmin-instances = 1\nlabels = { a = "b" }')
    changed = project.deploygate("plan", "--json").json
    changes = changed["changes"]
    assert isinstance(changes, list)
    assert {"key": "memory", "old": '"256Mi"', "new": '"1Gi"'} in changes
    assert {"key": "labels", "old": "", "new": '{ a = "b" }'} in changes
    assert "Plan: settings: 2 to add, " in str(changed["summary"])
    assert str(changed["summary"]).endswith("; the source changes")
    session = project.pytest("--deploy-to=fake", "--deploy-plan")
    assert '  ~ memory = "256Mi" -> "1Gi"\n' in session.out
    assert '  + labels = { a = "b" }\n' in session.out
    assert f"\n{changed['summary']}\n" in session.out
    project.edit(
        "pyproject.toml",
        "[tool.deploygate.gates.health]",
        "[tool.deploygate.gates.health]\nthreshold = 0.5",
    )
    judged = project.deploygate("plan", "--json").json["changes"]
    assert isinstance(judged, list)
    assert {"key": "gates.health.threshold", "old": "1", "new": "0.5"} in judged


FROZEN = 'freeze = ["2000-01-01 - 2999-01-01 UTC"]'


def test_plan_says_what_would_refuse_a_deployment(project: CliProject) -> None:
    same = project.deploygate("plan", "--json")
    assert same.status == 0
    assert (same.json["is_unchanged"], same.json["findings"]) == (True, [])
    assert "nothing to deploy" in project.deploygate("plan").out
    assert project.deploygate("rollback", "fake", "--reason", "no prices", "--yes").status == 0
    bad = project.deploygate("plan")
    assert bad.status == 1
    assert "this very release was rolled back before" in bad.out
    assert "--deploy-reason" in bad.out
    project.write({"main.py": "v3"})
    assert project.deploygate("plan").status == 0
    project.write_settings(environment=FROZEN)
    frozen = project.deploygate("plan")
    assert frozen.status == 1
    assert "is frozen until 2999-01-01" in frozen.out


def test_plan_names_the_approval_that_is_needed_and_who_holds_the_lease(
    project: CliProject,
) -> None:
    project.write({"main.py": "v3"})
    project.write_settings(environment='approval = "required"')
    holder = project.hold_lease()
    try:
        found = project.deploygate("plan", "--json")
    finally:
        holder.kill()
        holder.communicate()
    assert found.status == 0
    findings = found.json["findings"]
    assert isinstance(findings, list)
    assert any(f"--deploy-approval={found.json['plan_digest']}" in f["hint"] for f in findings)
    assert any("is held by" in f["sentence"] for f in findings)
    assert any("is OPEN" in f["sentence"] for f in findings)
    dead = project.deploygate("status")
    assert "was interrupted; run: deploygate recover fake" in dead.out


def said_by_plan(project: CliProject) -> list[str]:
    """The findings that ``deploygate plan`` has, as a session prints them."""
    findings = project.deploygate("plan", "--json").json["findings"]
    assert isinstance(findings, list)
    words = {True: "blocks", False: "note"}
    return [f"{words[f['is_blocking']]}: {f['sentence']}; {f['hint']}" for f in findings]


@pytest.mark.full
def test_session_that_plans_prints_the_findings_of_plan(project: CliProject) -> None:
    assert project.deploygate("rollback", "fake", "--reason", "no prices", "--yes").status == 0
    project.write_settings(environment=f'{FROZEN}\napproval = "required"')
    holder = project.hold_lease()
    try:
        findings = said_by_plan(project)
        session = project.pytest("--deploy-to=fake", "--deploy-plan")
        again = project.pytest("--deploy-to=fake", "--deploy-plan", "--deploy-reason=it was not it")
    finally:
        holder.kill()
        holder.communicate()
    told = " ".join(findings)
    for part in ("is held by", "is OPEN", "rolled back before", "is frozen", "the approval"):
        assert part in told
    for finding in findings:
        assert finding in session.out
    assert session.status == 1
    assert "REFUSE" in session.out
    assert "rolled back before" not in again.out
    assert "is frozen" in again.out


def test_session_that_plans_knows_the_approval_that_it_was_given(project: CliProject) -> None:
    project.write({"main.py": "v3"})
    project.write_settings(environment='approval = "required"')
    (finding,) = said_by_plan(project)
    digest = project.deploygate("plan", "--json").json["plan_digest"]
    assert finding in project.pytest("--deploy-to=fake", "--deploy-plan").out
    approved = project.pytest("--deploy-to=fake", "--deploy-plan", f"--deploy-approval={digest}")
    assert approved.status == 0
    assert "needs the approval" not in approved.out


def test_plan_as_gcloud_is_only_commands(project: CliProject) -> None:
    move = "gcloud run services update-traffic svc --to-revisions=CANDIDATE"
    done = project.deploygate("plan", "fake", "--format", "gcloud")
    assert done.out == f"{move}=100\n"
    project.write_settings(environment="steps = [5, 100]")
    done = project.deploygate("plan", "fake", "--format", "gcloud")
    assert done.out == f"{move}=5\n{move}=100\n"


def test_reader_that_stops_early_is_no_error(project: CliProject) -> None:
    process = project.popen(*project.command("deploygate", "history"))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(60)
    process.stderr.close()
