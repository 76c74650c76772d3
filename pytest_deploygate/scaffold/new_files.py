"""The files that ``deploygate init`` adds to a project, made from templates."""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pytest_deploygate import FILE
from pytest_deploygate.core.documentation import page_url
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.scaffold.function_finder import MAIN, FoundFunction
from pytest_deploygate.scaffold.project_survey import ProjectSurvey
from pytest_deploygate.system.private_folder import STATE_FOLDER

_FRAMEWORK: Final = re.compile(r"functions[-_.]framework\b", re.IGNORECASE)
_FRAMEWORK_LINE: Final = "functions-framework>=3,<4"
_IGNORED: Final = (f"{STATE_FOLDER}/", "report.xml")
_CI_FILES: Final = {"github": ".github/workflows/deploy.yml", "gitlab": ".gitlab-ci.yml"}
STUB_SOURCE: Final = Path("function")
CiSystem = Literal["none", "github", "gitlab"]


class Wishes(NamedTuple):
    """What the user answered. ``target`` is empty where only the emulator of this machine is wanted."""

    function: str
    found: FoundFunction | None
    target: str = ""
    cloud_project: str = ""
    region: str = "us-central1"
    ci: CiSystem = "none"

    @property
    def entry_point(self) -> str:
        """The Python function: the one that was found, or that of the stub."""
        return self.found.entry_point if self.found else re.sub(r"\W", "_", self.function)

    @property
    def source(self) -> Path:
        """The folder to deploy."""
        return self.found.source if self.found else STUB_SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """One file, relative to the project: new, or one that ``text`` is added to."""

    path: Path
    text: str
    is_addition: bool = False


class Written(NamedTuple):
    """What was done to a file: ``created``, ``extended`` or ``kept``."""

    path: str
    what: str


def plan_files(survey: ProjectSurvey, wishes: Wishes) -> tuple[NewFile, ...]:
    """Every file that the project needs.

    Raises:
        ConfigError: the settings cannot be added to pyproject.toml.
    """
    facts = _facts(survey, wishes)
    files = [
        _settings_file(survey, facts),
        NewFile(path=Path(".gitignore"), text="\n".join(_IGNORED) + "\n", is_addition=True),
        *_function_files(survey, wishes, facts),
    ]
    for phase in ("ready", "candidate", "live"):
        path = Path("gates", phase, survey.test_file(phase))
        files.append(NewFile(path=path, text=_render(f"{phase}_check.py", facts)))
    if wishes.ci != "none":
        path = Path(_CI_FILES[wishes.ci])
        files.append(NewFile(path=path, text=_render(f"{wishes.ci}.yml", facts)))
    return tuple(files)


def write_files(root: Path, files: tuple[NewFile, ...]) -> Iterator[Written]:
    """Write what is not there yet; what exists is kept, or gets the lines that it lacks.

    Raises:
        ConfigError: a file cannot be written.
    """
    for file in files:
        place = root / file.path
        try:
            if file.is_addition and place.exists():
                yield Written(str(file.path), _extend(place, file.text))
            elif place.exists():
                yield Written(str(file.path), "kept")
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(file.text, encoding="utf-8")
                yield Written(str(file.path), "created")
        except OSError as error:
            raise ConfigError(f"{place}: cannot be written: {error.strerror}") from error


def _extend(place: Path, text: str) -> str:
    old = place.read_bytes().decode("utf-8")
    if place.name == ".gitignore":
        known = old.splitlines()
        text = "".join(f"{line}\n" for line in text.splitlines() if line not in known)
    if not text:
        return "kept"
    newline = "\r\n" if "\r\n" in old else "\n"
    joined = old + ("" if old.endswith("\n") or not old else newline)
    place.write_bytes((joined + text.replace("\n", newline)).encode())
    return "extended"


def _settings_file(survey: ProjectSurvey, facts: Mapping[str, object]) -> NewFile:
    text = _render("settings.toml", facts)
    path = survey.root / FILE
    if not path.exists():
        return NewFile(path=Path(FILE), text=text)
    try:
        tomllib.loads(f"{path.read_text(encoding='utf-8')}\n{text}")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path}: a [tool.deploygate] table cannot be added: {error}",
            hint="write the table `tool` in parts: [tool.NAME] instead of tool = {...}",
        ) from error
    return NewFile(path=Path(FILE), text=f"\n{text}", is_addition=True)


def _function_files(
    survey: ProjectSurvey, wishes: Wishes, facts: Mapping[str, object]
) -> Iterator[NewFile]:
    found = wishes.found
    if found is None:
        yield NewFile(path=STUB_SOURCE / MAIN, text=_render("main.py", facts))
        yield NewFile(path=STUB_SOURCE / "requirements.txt", text=f"{_FRAMEWORK_LINE}\n")
        return
    if not found.is_loaded_by_runtime:
        yield NewFile(path=found.source / MAIN, text=_render("loader.py", facts))
    source = survey.root / found.source
    if not (source / "requirements.txt").exists():
        lines = survey.dependencies
        if not any(_FRAMEWORK.match(line) for line in lines):
            lines = (_FRAMEWORK_LINE, *lines)
        text = _render("requirements.txt", {**facts, "lines": lines})
        yield NewFile(path=found.source / "requirements.txt", text=text)
    if found.source == Path():
        # without it the whole project would be uploaded, and a change of a test would be a new version
        yield NewFile(path=Path(".gcloudignore"), text=_render("gcloudignore", facts))


def _facts(survey: ProjectSurvey, wishes: Wishes) -> dict[str, object]:
    found = wishes.found
    return {
        "function": wishes.function,
        "entry_point": wishes.entry_point,
        "source": str(wishes.source),
        "module": found.module if found else "",
        "is_stub": found is None,
        "runtime": f"python3{min(max(sys.version_info.minor, 10), 14)}",
        "target": wishes.target,
        "cloud_project": wishes.cloud_project,
        "region": wishes.region,
        "environment": "production" if wishes.target else "local",
        "has_pytest_settings": survey.has_pytest_settings,
        "pytest": survey.pytest_command,
        "manager": survey.manager,
        "settings_page": page_url("reference/settings"),
        "checks_page": page_url("how-to/write-checks"),
        "ci_page": page_url("how-to/ci"),
    }


def _render(name: str, facts: Mapping[str, object]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # the braces of workflows and of f-strings stay as they are
    templates = Environment(
        loader=PackageLoader("pytest_deploygate.scaffold"),
        autoescape=False,  # noqa: S701  # writes Python, TOML and YAML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    return templates.get_template(f"{name}.jinja").render(facts)
