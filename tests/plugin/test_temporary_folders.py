"""What a check leaves in its temporary folder is there for the phases after it."""

import pytest

from pytest_deploygate.testing import DeploygateProject


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_folders_of_earlier_phases_stay(
    project: DeploygateProject, before: str, workers: int
) -> None:
    project.write(
        {
            "gates/ready/test_ready.py": """
                from pathlib import Path
                def test_honest(tmp_path):
                    (tmp_path / "kept").touch()
                    Path("where").write_text(str(tmp_path / "kept"))
            """,
            "gates/live/test_live.py": """
                from pathlib import Path
                def test_honest(tmp_path):
                    assert tmp_path.is_dir()
                    assert Path(Path("where").read_text()).exists()
            """,
        }
    )
    run = project.deploy(workers=workers)
    assert run.status == 0, run.output
    assert run.serving != before
