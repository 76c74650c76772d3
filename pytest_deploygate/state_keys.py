"""What the parts of the plugin share through ``config.stash`` in a process that runs checks."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_deploygate.channel.client import JudgeLink
    from pytest_deploygate.checks.deployment import Deployment
    from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
    from pytest_deploygate.core.redaction import Redactor

WORKER_INPUT = "deploygate"
"""Key of what the session tells a worker of pytest-xdist."""

DEPLOYMENT: pytest.StashKey["Deployment"] = pytest.StashKey()
"""The deployment that the running phase judges; absent where there is none."""
REDACTOR: pytest.StashKey["Redactor"] = pytest.StashKey()
"""Takes secrets out of what this session shows."""
AUDITOR: pytest.StashKey["OutcomeAuditor"] = pytest.StashKey()
"""What tells the judge; absent where no target is touched."""
LINK: pytest.StashKey["JudgeLink"] = pytest.StashKey()
"""The channel to the judge; absent where no target is touched."""
IS_TERSE = pytest.StashKey[bool]()
"""Whether ``-q`` was given: the letters of all phases stay on one line."""
