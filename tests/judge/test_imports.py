"""What the judge's process loads."""

import subprocess
import sys


def test_judge_loads_neither_pytest_nor_the_session() -> None:
    program = "import sys, pytest_deploygate.judge.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "pytest_deploygate.judge.main" in loaded
    barred = ("pytest", "_pytest", "pytest_deploygate.session", "pytest_deploygate.plugin")
    assert [name for name in loaded if name in barred] == []
