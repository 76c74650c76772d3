"""``deploygate report`` and ``--deploy-report``: pages on what was recorded."""

from tests.cli.cli_project import CliProject


def test_page_on_a_rollback_says_how_its_check_failed(project: CliProject) -> None:
    project.say("health", "no <b>prices</b>")
    run = project.release("v3", "--deploy-report=out/page.html")
    assert run.status == 1, run.output
    page = (project.root / "out" / "page.html").read_text()
    assert "<h1>ROLLED_BACK</h1>" in page
    assert "suites/test_health.py::test_health" in page
    assert "suites/test_health.py:6: AssertionError: no &lt;b&gt;prices&lt;/b&gt;" in page
    assert "<b>prices" not in page

    done = project.deploygate("report", "-o", "again.html")
    assert (done.status, done.out.strip()) == (0, "wrote again.html")
    again = (project.root / "again.html").read_text()
    assert "<h1>ROLLED_BACK</h1>" in again
    assert "AssertionError: no &lt;b&gt;prices&lt;/b&gt;" in again
    shown = project.deploygate("show", "last", "--json").json
    assert shown["failures"] == {
        "suites/test_health.py::test_health": "suites/test_health.py:6: AssertionError: no <b>prices</b>"
    }
    assert "AssertionError: no <b>prices</b>" in project.deploygate("show", "last").out


def test_page_on_a_history_and_its_json(project: CliProject) -> None:
    done = project.deploygate("report", "--env", "fake", "-o", "history.html", "--json")
    assert done.json == {"file": "history.html", "rollout_id": "", "environment": "fake"}
    page = (project.root / "history.html").read_text()
    assert "<h1>Deployments to fake</h1>" in page
    assert page.count("PROMOTED") == 2


def test_page_that_cannot_be_written_is_an_error_and_changes_no_status(project: CliProject) -> None:
    done = project.deploygate("report", "-o", "missing/report.html")
    assert done.status == 4
    assert "error: missing/report.html: cannot be written" in done.err
    run = project.release("v3", "--deploy-report=main.py/page.html")
    assert run.status == 0, run.output
    assert "page.html was not written" in run.output


def test_unknown_rollout_and_environment_are_told(project: CliProject) -> None:
    assert "there is no rollout 'nobody'" in project.deploygate("report", "nobody").err
    assert "unknown environment 'nowhere'" in project.deploygate("report", "--env", "nowhere").err
