"""What holds for every check of every gate."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.support.answer_leaks import AnswerLeaks
from suites.support.profile import profile

OF_URLS = ("test_urls.py", "test_refused_urls.py")
OF_OFFLINE_READING = ("test_offline_accuracy.py",)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the checks of what the function does not do: by its profile, not by what a session happens to find."""
    is_left_out = (collection_path.name in OF_URLS and not profile().url_fields) or (
        collection_path.name in OF_OFFLINE_READING and not profile().is_offline
    )
    return True if is_left_out else None


@pytest.fixture(autouse=True)
def no_answer_shows_the_inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the check that received an answer with variables, secrets or a traceback in it."""
    yield
    if "answer_leaks" in request.fixturenames:
        leaks: AnswerLeaks = request.getfixturevalue("answer_leaks")
        assert leaks.take() == [], "an answer shows what it may not"
