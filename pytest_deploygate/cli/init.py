"""``init``: set up a project for gated deployments. Asks at most four questions, and overwrites nothing."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import click

from pytest_deploygate import FILE, is_configured
from pytest_deploygate.cli.arguments import examples, json_option, pass_context
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config.environment import CLOUD_RUN, GOOGLE
from pytest_deploygate.config.tables import field_of
from pytest_deploygate.core.documentation import page_url
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.scaffold.function_finder import FoundFunction
from pytest_deploygate.scaffold.new_files import (
    CiSystem,
    Wishes,
    Written,
    plan_files,
    write_files,
)
from pytest_deploygate.scaffold.project_survey import ProjectSurvey, survey_project

_STUB_NAME = "hello"
_TARGETS = (GOOGLE, CLOUD_RUN)


class Initialised(NamedTuple):
    """What ``init`` shows. ``next_commands`` are to be typed in this order."""

    project: str
    function: str
    entry_point: str
    source: str
    files: Sequence[Written]
    next_commands: Sequence[str]


class _Answers(NamedTuple):
    """What was said on the command line; None is asked for."""

    function: str | None
    target: str | None
    cloud_project: str | None
    region: str
    ci: CiSystem | None


@click.command(
    short_help="Set up a project.",
    epilog=examples(
        "deploygate init",
        "deploygate init --function greet --yes",
        "deploygate init --target google --gcp-project my-project-123 --ci github --yes",
    ),
)
@click.option(
    "--function", metavar="NAME", help="Name of the function; else the one that is found."
)
@click.option(
    "--target",
    type=click.Choice(("local", *_TARGETS)),
    help="Where to deploy to, besides the emulator on this machine.",
)
@click.option("--gcp-project", metavar="ID", help="Id of the Google Cloud project.")
@click.option(
    "--region", default="us-central1", show_default=True, metavar="REGION", help="Google's region."
)
@click.option("--ci", type=click.Choice(get_args(CiSystem)), help="Write a workflow for it.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what was found, or the default.")
@json_option
@pass_context
def init(
    context: CliContext,
    function: str | None,
    target: str | None,
    gcp_project: str | None,
    region: str,
    ci: CiSystem | None,
    *,
    yes: bool,
    is_json: bool,
) -> None:
    """Set up the project in this directory: settings, a gate for each phase, a function if there is none.

    Finds what is there (functions, pytest's settings, uv, Poetry) and overwrites nothing: a file that exists is kept,
    pyproject.toml and .gitignore get the lines that they lack. Asks at most four questions.
    """
    root = context.directory
    if is_configured(root):
        raise ConfigError(
            f"{root / FILE} has a [tool.deploygate] table already",
            hint="pytest --deploy-to=local",
        )
    out = context.output(is_json=is_json)
    survey = survey_project(root)
    said = _Answers(function, target, gcp_project, region, ci)
    can_ask = not (yes or is_json) and sys.stdin.isatty()
    if not (yes or can_ask):
        raise click.UsageError("nobody can be asked here: add --yes")
    wishes = _ask(survey, said) if can_ask else _take_defaults(survey, said)
    files = plan_files(survey, wishes)
    done = Initialised(
        project=str(root),
        function=wishes.function,
        entry_point=wishes.entry_point,
        source=str(wishes.source),
        files=list(write_files(root, files)),
        next_commands=[
            *filter(None, (survey.install_command,)),
            f"{survey.pytest_command} --deploy-to=local",
        ],
    )
    out.document(done)
    _print(out, done, wishes, survey)


def _print(out: Output, done: Initialised, wishes: Wishes, survey: ProjectSurvey) -> None:
    if wishes.found is not None:
        out.line(f"found {wishes.found.entry_point} in {wishes.found.file}")
    for file in survey.applications if wishes.found is None else ():
        out.line(
            f"{file} is a web application, not a function, and is not deployed: {wishes.function} "
            f"is new. An application ships as an image: {page_url('how-to/cloud-run#a-container')}"
        )
    out.table(("file", ""), [(file.path, file.what) for file in done.files])
    out.line()
    for command in done.next_commands:
        out.line(f"now type:  {command}", "bold")


def _ask(survey: ProjectSurvey, said: _Answers) -> Wishes:
    """At most four questions: which function, where to, which project there, which CI."""
    found = _matching_functions(survey, said.function)
    name = said.function
    if name is None and len(found) > 1:
        told = ", ".join(f"{one.entry_point} in {one.file}" for one in found)
        names = [one.entry_point for one in found]
        name = click.prompt(f"Which function? ({told})", type=click.Choice(names), err=True)
    elif name is None:
        default = found[0].entry_point if found else _STUB_NAME
        name = click.prompt("Name of the function", default=default, err=True)
    target = said.target or click.prompt(
        "Where to, besides the emulator on this machine",
        type=click.Choice(("local", *_TARGETS)),
        default="local",
        err=True,
    )
    project = said.cloud_project
    if target != "local" and not project:
        project = click.prompt("Id of the Google Cloud project", err=True)
    ci = said.ci or click.prompt(
        "Write a workflow for", type=click.Choice(get_args(CiSystem)), default="none", err=True
    )
    answers = said._replace(function=name, target=target, cloud_project=project, ci=ci)
    return _take_defaults(survey, answers)


def _take_defaults(survey: ProjectSurvey, said: _Answers) -> Wishes:
    found = _matching_functions(survey, said.function)
    if len(found) > 1:
        told = ", ".join(f"{one.entry_point} in {one.file}" for one in found)
        raise ConfigError(
            f"there are several functions: {told}",
            hint=f"name one: deploygate init --function {found[0].entry_point}",
        )
    if not found and survey.functions:
        raise ConfigError(
            f"--function: there is no {said.function}",
            hint=f"there are: {', '.join(one.entry_point for one in survey.functions)}",
        )
    target = "" if said.target in (None, "local") else str(said.target)
    if target and not said.cloud_project:
        raise ConfigError(
            f"--target {target} needs the id of a Google Cloud project",
            hint="add --gcp-project my-project-123",
        )
    name = said.function or (found[0].entry_point if found else _STUB_NAME)
    _check_setting("function", "--function", name)
    if target:
        _check_setting("project", "--gcp-project", said.cloud_project or "")
        _check_setting("region", "--region", said.region)
    return Wishes(
        function=name,
        found=found[0] if found else None,
        target=target,
        cloud_project=said.cloud_project or "",
        region=said.region,
        ci=said.ci or "none",
    )


def _check_setting(name: str, option: str, value: str) -> None:
    """Refuse what the settings would refuse."""
    setting = field_of(FunctionSpec, name).setting
    if not re.fullmatch(setting.pattern, value):
        raise ConfigError(
            f"{option}: {value!r} is not {setting.is_a}",
            hint=f"an example: {setting.example.strip(chr(34))}",
        )


def _matching_functions(survey: ProjectSurvey, name: str | None) -> Sequence[FoundFunction]:
    """The functions that ``name`` may mean: one of that name, or the only one there is, which is deployed under it."""
    wanted = (name or "").replace("-", "_")
    named = [
        one
        for one in survey.functions
        if wanted in (one.entry_point, Path(one.source).name.replace("-", "_"))
    ]
    return named if named or (name and len(survey.functions) > 1) else survey.functions
