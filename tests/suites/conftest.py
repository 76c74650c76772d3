"""One running function for all tests of this folder, with its sheet and its file host."""

from collections.abc import Iterator

import pytest

from tests.suites.invoice_function import (
    FUNCTION,
    Function,
    KeptSheet,
    file_server,
    running,
    sheet_server,
)


@pytest.fixture(scope="session")
def sheet_of_session() -> Iterator[KeptSheet]:
    """A sheet that lives as long as the session."""
    with sheet_server() as sheet:
        yield sheet


@pytest.fixture
def sheet(sheet_of_session: KeptSheet) -> Iterator[KeptSheet]:
    """The sheet, whose faults are undone after the test."""
    yield sheet_of_session
    sheet_of_session.answer, sheet_of_session.drop, sheet_of_session.location = None, False, None


@pytest.fixture(scope="session")
def files() -> Iterator[str]:
    """URL of a server of files."""
    with file_server() as url:
        yield url


@pytest.fixture(scope="session")
def function(sheet_of_session: KeptSheet, files: str) -> Iterator[Function]:
    """The function of this repository, running."""
    with running(FUNCTION, sheet_of_session, files) as function:
        yield function
