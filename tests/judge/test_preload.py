"""What the judge loads while the session collects."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.greeting_project import set_target, write_small

PROGRAM = """
import sys, threading
from pathlib import Path
from pytest_deploygate.config.environment_selection import select_environment
from pytest_deploygate.config.settings import load
from pytest_deploygate.judge.preload import preload_libraries

preload_libraries(select_environment(load(Path(sys.argv[1])), "local"))
for thread in threading.enumerate():
    if thread.name == "preload":
        thread.join()
print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("platform", "last"), [("google", "deployment_wait"), ("cloud-run", "source_storage")]
)
def test_everything_that_is_named_for_a_target_is_loaded(
    tmp_path: Path, platform: str, last: str
) -> None:
    write_small(tmp_path)
    set_target(tmp_path, platform)
    command = [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "google.cloud.run_v2" in shown
    # one that cannot be imported ends the loading before the last of them
    assert f"pytest_deploygate.targets.{last}" in shown
