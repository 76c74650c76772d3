"""Tells a check that failed because its own code is wrong from one that failed by what it saw."""

from pathlib import Path
from typing import Final

import pytest

from pytest_deploygate.channel.messages import CERTAIN, LIKELY

_NO_ANSWER_DOES: Final = (NameError, ImportError, pytest.FixtureLookupError)
"""What no answer of any revision can be the cause of."""
_OF_CODE: Final = (TypeError, AttributeError, LookupError, FileNotFoundError)
"""What is raised by code that is wrong, and by code that an answer has surprised."""
_SAYS: Final = (AssertionError, OSError, pytest.fail.Exception, pytest.skip.Exception)
"""What a fixture raises to say something, or because something could not be reached."""


def mistake_in(
    item: pytest.Item, when: str, raised: pytest.ExceptionInfo[BaseException], *, has_heard: bool
) -> str:
    """``certain``, ``likely`` or nothing; ``has_heard`` says whether a revision has answered anything that it uses."""
    error = raised.value
    if isinstance(error, pytest.FixtureLookupError):
        return CERTAIN
    if not raised.traceback or not _is_of_the_gate(item, Path(str(raised.traceback[-1].path))):
        return ""
    if isinstance(error, _NO_ANSWER_DOES):
        return CERTAIN
    if has_heard or not isinstance(error, Exception):
        return ""
    is_setup_broken = when == "setup" and not isinstance(error, _SAYS)
    return LIKELY if is_setup_broken or isinstance(error, _OF_CODE) else ""


def _is_of_the_gate(item: pytest.Item, file: Path) -> bool:
    """Whether code of ``file`` belongs to the check: what it calls elsewhere may be the function itself."""
    return file == item.path or file.name == "conftest.py"
