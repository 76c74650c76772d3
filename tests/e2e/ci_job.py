"""Jobs of CI services, imitated by what the services document: scripts, variables, files, what follows a failure.

GitHub, "Metadata syntax for composite actions", "Workflow syntax" (``shell: bash`` is ``bash --noprofile --norc -eo
pipefail``), "Workflow commands" (GITHUB_OUTPUT, GITHUB_STEP_SUMMARY); GitLab, "CI/CD components", "Job scripts"
(``before_script`` and ``script`` share a shell, ``after_script`` has one of its own).
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_deploygate.testing import DeploygateProject
from pytest_deploygate.testing.sessions import PipedProcess

REPOSITORY = Path(__file__).resolve().parents[2]
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
PROGRAM = '#!/bin/sh\nexec "{python}" {start} "$@"\n'
PYTHON = """#!/bin/sh
case "$1 $2" in "-m pip") shift 3; for one in "$@"; do echo "$one" >> "$INSTALLED"; done; exit 0 ;; esac
exec "{python}" "$@"
"""
LIMIT_S = 300


def runner_variables(project: DeploygateProject, folder: Path) -> dict[str, str]:
    """Variables of a machine that has Python, and on which ``pip install`` notes what it was asked for."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    start = {"pytest": "-m pytest", "deploygate": "-m pytest_deploygate.cli"}
    texts = {name: PROGRAM.format(python=sys.executable, start=how) for name, how in start.items()}
    for name, text in {**texts, "python": PYTHON.format(python=sys.executable)}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    mine = project.all_variables()
    path = f"{programs}:{mine['PATH']}"
    return {**mine, "CI": "true", "PATH": path, "INSTALLED": str(folder / "installed")}


@dataclass(slots=True)
class JobStep:
    """A step that ran: its exit status, what it printed, its outputs."""

    status: int
    printed: str
    outputs: Mapping[str, str] = field(default_factory=dict)


class GithubAction:
    """One use of the repository's action in a job whose workspace is the project's folder."""

    def __init__(self, project: DeploygateProject, folder: Path, inputs: Mapping[str, str]) -> None:
        self._action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
        self._project = project
        self._folder = folder
        self._variables = runner_variables(project, folder) | {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(project.root),
        }
        assert set(inputs) <= set(self._action["inputs"])
        self._inputs = {
            name: str(inputs.get(name, one.get("default", "")))
            for name, one in self._action["inputs"].items()
        }
        self.steps: dict[str, JobStep] = {}
        """Steps with a script, by id or number."""
        self.summary = ""

    def run(self) -> bool:
        """Run all steps; whether the job succeeds."""
        return self._run(self._action["runs"]["steps"], is_good=True)

    def end(self, deploy: PipedProcess) -> bool:
        """Wait for the step that deploys, which :meth:`begin` began, and run those after it."""
        steps: list[Mapping[str, Any]] = self._action["runs"]["steps"]
        place = steps.index(self.deploy_step)
        done = self.steps["deploy"] = self._finish(deploy)
        return self._run(steps[place + 1 :], is_good=done.status == 0)

    def _run(self, steps: Sequence[Mapping[str, Any]], *, is_good: bool) -> bool:
        for number, step in enumerate(steps):
            if "run" in step and (is_good or step.get("if") == "always()"):
                done = self._finish(self.begin(step))
                self.steps[str(step.get("id", number))] = done
                is_good = is_good and done.status == 0
        return is_good

    def begin(self, step: Mapping[str, Any]) -> PipedProcess:
        """Begin the script of a step as the runner does: written to a file, with no input of the job in it."""
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        script = self._folder / "script.sh"
        script.write_text(step["run"])
        for name in ("output", "summary"):
            (self._folder / name).write_text("")
        own = {name: self._value(str(text)) for name, text in step.get("env", {}).items()}
        folder = self._project.root / self._value(step["working-directory"])
        assert folder.resolve() == self._project.root.resolve()
        return self._project.popen(
            *BASH,
            str(script),
            **self._variables,
            **own,
            GITHUB_OUTPUT=str(self._folder / "output"),
            GITHUB_STEP_SUMMARY=str(self._folder / "summary"),
        )

    def _finish(self, process: PipedProcess) -> JobStep:
        """Wait for a script, and read its files."""
        out, err = process.communicate(timeout=LIMIT_S)
        self.summary += (self._folder / "summary").read_text()
        text = (self._folder / "output").read_text()
        found = re.findall(r"^(\S+?)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
        assert process.returncode is not None
        return JobStep(process.returncode, out + err, {key: value for key, _, value in found})

    @property
    def deploy_step(self) -> Mapping[str, Any]:
        """The step that deploys."""
        found: Mapping[str, Any] = next(
            one for one in self._action["runs"]["steps"] if one.get("id") == "deploy"
        )
        return found

    @property
    def outputs(self) -> dict[str, str]:
        """What later steps of the job read."""
        return {name: self._value(one["value"]) for name, one in self._action["outputs"].items()}

    @property
    def uploaded(self) -> list[Path]:
        """What the artifact has."""
        steps = self._action["runs"]["steps"]
        (paths,) = (one["with"]["path"] for one in steps if "upload" in one.get("uses", ""))
        found = (self._project.root / self._value(line) for line in paths.splitlines())
        return [path for path in found if path.exists()]

    @property
    def installed(self) -> list[str]:
        """Arguments of ``pip install``."""
        return (self._folder / "installed").read_text().split()

    def _value(self, text: str) -> str:
        def known(match: "re.Match[str]") -> str:
            kind, *names = match[1].split(".")
            if kind == "inputs":
                return self._inputs[names[0]]
            assert (kind, names[1]) == ("steps", "outputs")
            return self.steps[names[0]].outputs.get(names[2], "")

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", known, text)


class GitlabJob:
    """The job of the repository's component with ``inputs``, in the project's folder."""

    def __init__(self, project: DeploygateProject, folder: Path, inputs: Mapping[str, str]) -> None:
        text = (REPOSITORY / "templates" / "deploy.yml").read_text()
        spec, body = text.split("\n---\n")
        declared = yaml.safe_load(spec)["spec"]["inputs"]
        assert set(inputs) <= set(declared)
        known = {name: inputs.get(name, one.get("default")) for name, one in declared.items()}
        body = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda match: str(known[match[1]]), body)
        ((self.name, self.job),) = yaml.safe_load(body).items()
        self._project = project
        self._folder = folder
        self._variables = runner_variables(project, folder) | {
            "GITLAB_CI": "true",
            "CI_PROJECT_DIR": str(project.root),
            **self.job["variables"],
        }

    def run(self) -> JobStep:
        """Run the job; the step is that of its script."""
        done = self._shell([*self.job["before_script"], *self.job["script"]])
        after = self._shell(self.job["after_script"])
        assert after.status == 0, after.printed
        return JobStep(done.status, done.printed, self.dotenv())

    def dotenv(self) -> dict[str, str]:
        """The dotenv report, within GitLab's limits: 5120 bytes, no empty line, no comment."""
        path = self._project.root / self.job["artifacts"]["reports"]["dotenv"]
        text = path.read_text()
        assert len(text.encode()) <= 5120
        return dict(line.split("=", 1) for line in text.splitlines())

    @property
    def installed(self) -> list[str]:
        """Arguments of ``pip install``."""
        return (self._folder / "installed").read_text().split()

    def _shell(self, lines: list[str]) -> JobStep:
        script = self._folder / "script.sh"
        script.write_text("\n".join(lines))
        process = self._project.popen(*BASH, str(script), **self._variables)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode is not None
        return JobStep(process.returncode, out + err)
