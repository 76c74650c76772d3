"""What serves now can be returned to: by its revision at once, and by its backup should the platform lose that.

On a first release there is nothing to return to, and the checks say so: going back then means deleting the candidate.
"""

import ast
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_deploygate.checks.deployment import Deployment, Previous
from suites.support.profile import profile

NOTHING = Previous()


def found(deployment: Deployment) -> Previous:
    """What the session found; where it did not look, a skip: that is no pass in a session that decides."""
    if deployment.previous is None:
        pytest.skip("nobody asked what serves: this session has no deployment")
    return deployment.previous


@pytest.fixture
def previous(deployment: Deployment) -> Previous:
    return found(deployment)


def test_what_serves_can_serve_again(
    previous: Previous, remark: Callable[[str, str], None]
) -> None:
    remark("rollback_target", previous.revision or "first release: delete the candidate")
    assert previous == NOTHING or previous.revision, previous.problem
    assert previous == NOTHING or previous.is_ready, f"revision {previous.revision} is not ready"


def test_backup_of_what_serves_can_be_deployed_again(
    previous: Previous, remark: Callable[[str, str], None], tmp_path: Path
) -> None:
    assert not previous.problem, f"there is no backup: {previous.problem}"
    if not previous.backup:
        # After a rollback the platform hands out the source of what was rolled back only, which is none of ours.
        remark("backup", "settings alone" if previous.revision else "first release: none")
        return
    remark("backup", Path(previous.backup).stem)
    content = Path(previous.backup).read_bytes()
    assert hashlib.sha256(content).hexdigest() == previous.sha256, "the backup is not what was made"
    with zipfile.ZipFile(previous.backup) as archive:
        archive.extractall(tmp_path)
    module = ast.parse((tmp_path / "main.py").read_bytes())
    assert profile().entry_point in {getattr(node, "name", "") for node in module.body}
    assert (tmp_path / "requirements.txt").read_text("utf-8").strip()
