"""What holds for every check of every gate."""

from collections.abc import Iterator

import pytest

from suites.support.answer_leaks import AnswerLeaks


@pytest.fixture(autouse=True)
def no_answer_shows_the_inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the check that received an answer with variables, secrets or a traceback in it."""
    yield
    if "answer_leaks" in request.fixturenames:
        leaks: AnswerLeaks = request.getfixturevalue("answer_leaks")
        assert leaks.take() == [], "an answer shows what it may not"
