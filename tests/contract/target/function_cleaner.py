"""Deletes a function when the process that asked for it has ended, however it ended: a process of its own, that waits.

Run as ``python -m tests.contract.target.function_cleaner FUNCTION FOLDER [ENDPOINT]``; without an endpoint on Google.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract.target.staged_function import KINDS, AnyTarget, T, make_spec

PROJECT = "DEPLOYGATE_GCP_PROJECT"
REGION = "DEPLOYGATE_GCP_REGION"
ROOT = Path(__file__).resolve().parents[3]
BUDGET_S = 900.0


def google_target(function: str, folder: Path) -> CloudFunctionsTarget:
    """A target for Cloud Functions on the project that the caller named."""
    return google_target_of(CloudFunctionsTarget, function, folder)


def google_target_of(kind: type[T], function: str, folder: Path) -> T:
    """A target of that kind on the project that the caller named."""
    from pytest_deploygate.targets.auth import credentials_for

    project = os.environ[PROJECT]
    region = os.environ.get(REGION, "us-central1")
    spec = make_spec(
        function, folder / "source", project=project, region=region, runtime="python312"
    )
    return kind(
        spec=spec,
        credentials=credentials_for(project),
        home=folder / "records",
        clock=SystemClock(),
        is_local=False,
    )


def delete(target: AnyTarget) -> None:
    """Delete the function, also one that is still being deployed and one that is open to the public."""
    deadline = time.monotonic() + BUDGET_S
    while target.find_operation() is not None and time.monotonic() < deadline:
        time.sleep(1)
    if target.snapshot().exists:
        target.set_public(False)
    target.delete_function()


@contextmanager
def deleted_afterwards(function: str, folder: Path, endpoint: str = "") -> Iterator[None]:
    """The function is deleted when the block ends, or when this process does."""
    cleaner = start_cleaner(function, folder, endpoint)
    try:
        yield
    finally:
        assert cleaner.stdin is not None
        cleaner.stdin.close()
        status = cleaner.wait(BUDGET_S)
    assert status == 0, f"{function} may still be there: look at the project"


def start_cleaner(function: str, folder: Path, endpoint: str = "") -> "subprocess.Popen[bytes]":
    """The process that waits for the end of its standard input."""
    module = "tests.contract.target.function_cleaner"
    return subprocess.Popen(
        [sys.executable, "-m", module, function, str(folder), endpoint],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )


def main(function: str, folder: str, endpoint: str = "") -> None:
    """Wait, then delete."""
    sys.stdin.read()  # ends when the process that started this one does
    for kind in KINDS.values():  # what one of them made, the other may not see
        target = _target_of(kind, function, Path(folder), endpoint)
        delete(target)
        target.close()


def _target_of(kind: type[AnyTarget], function: str, place: Path, endpoint: str) -> AnyTarget:
    if not endpoint:
        return google_target_of(kind, function, place)
    return kind(
        spec=make_spec(function, place / "source"),
        endpoint=endpoint,
        credentials=None,
        home=place / "records",
        clock=SystemClock(),
        is_local=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
