"""How much faster gates that wait for answers are with two workers."""

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.instructions import PYTEST
from pytest_deploygate.testing import DeploygateProject
from tests.plugin import plugin_project

SMALL, LARGE = 8, 56
WAIT_S = 0.4
_CHECK = f"import time\n\n\ndef test_n():\n    time.sleep({WAIT_S})\n"


def _seconds(baseline: DeploygateProject, root: Path, number: int, workers: int) -> float:
    project = plugin_project.copy_project(baseline, root)
    body = _CHECK.replace("test_n()", "test_wait(n)").replace(
        "import time\n", "import time\n\nimport pytest\n"
    )
    text = body.replace("def test", f'@pytest.mark.parametrize("n", range({number}))\ndef test')
    project.write({"gates/cand/test_wait.py": text})
    options = ["--deploy-to=fake", "--deploy-no-watchdog", f"-n{workers}"]
    began = time.monotonic()
    run = subprocess.run(
        [*PYTEST, *options],
        cwd=project.root,
        env=project.all_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise RuntimeError(run.stdout + run.stderr)
    return time.monotonic() - began


def figures() -> list[Figure]:
    """Two sizes of a gate, in one process and in two workers; the best of three runs each."""
    best: dict[tuple[int, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        baseline = plugin_project.make_baseline(Path(folder) / "baseline")
        for turn in range(3):
            for workers in (0, 2):
                for number in (SMALL, LARGE):
                    place = Path(folder) / f"{turn}-{workers}-{number}"
                    took = _seconds(baseline, place, number, workers)
                    best[workers, number] = min(took, best.get((workers, number), took))
    alone = best[0, LARGE] - best[0, SMALL]
    both = best[2, LARGE] - best[2, SMALL]
    return [
        Figure(
            topic="-n 2",
            what="gates that wait on I/O, times faster than one process",
            value=alone / both,
            at_least=1.8,
            note=f"{LARGE - SMALL} checks of {WAIT_S} s: {alone:.1f} s and {both:.1f} s; whole sessions of {LARGE}: "
            f"{best[0, LARGE]:.1f} s and {best[2, LARGE]:.1f} s",
        )
    ]
