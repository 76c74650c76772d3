"""Processes of this package load no code of the project, except what the settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_deploygate.system.own_program import import_named, own_program

SHADOWED = ("sitecustomize", "usercustomize", "json", "runpy", "simplejson")
ENDS = """\
import os
os._exit(77)
"""


def test_own_program_loads_nothing_of_working_directory_and_pythonpath(tmp_path: Path) -> None:
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(ENDS)
    done = subprocess.run(
        [*own_program("pytest_deploygate.watchdog.process"), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f".{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--rollout" in done.stdout


def test_own_program_finds_packages_that_were_installed_into_a_folder_of_pythonpath(
    tmp_path: Path,
) -> None:
    (tmp_path / "some-1.0.dist-info").mkdir()
    (tmp_path / "simplejson.py").write_text(ENDS)
    done = subprocess.run(
        [*own_program("simplejson")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 77


def test_module_that_the_settings_name_is_found_on_pythonpath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_settings.py").write_text(
        """\
import named_beside
name = named_beside.name
"""
    )
    (tmp_path / "named_beside.py").write_text("name = 'x'\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert import_named("named_by_settings").name == "x"


def test_module_that_is_not_there_is_an_import_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_with_a_gap.py").write_text("import not_there_at_all\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        import_named("named_with_a_gap")
    with pytest.raises(ModuleNotFoundError, match="nor_this_one"):
        import_named("nor_this_one")
