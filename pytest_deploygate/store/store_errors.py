"""Translates database errors to :class:`StoreError` with a hint.

Causes are recognised by error codes (SQLite: result codes, https://www.sqlite.org/rescode.html; PostgreSQL: SQLSTATE,
https://www.postgresql.org/docs/current/errcodes-appendix.html), never by message text.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from pytest_deploygate.core.errors import StoreError

_HINT_CORRUPT = (
    "move the file away (keep it); 'deploygate status' and 'deploygate recover' then work from the "
    "labels of the service"
)
_SQLITE: tuple[tuple[str, str, str], ...] = (
    ("SQLITE_FULL", "the disk is full", "free space on the disk that holds it, then try again"),
    (
        "SQLITE_IOERR_SHMSIZE",  # a full disk too: the shared memory file cannot grow
        "the disk is full",
        "free space on the disk that holds it, then try again",
    ),
    (
        "SQLITE_READONLY",
        "it may not be written",
        "give the user that runs pytest write access to the file and to its directory",
    ),
    (
        "SQLITE_PERM",
        "access is denied",
        "give the user that runs pytest read and write access to the file and its directory",
    ),
    (
        "SQLITE_CANTOPEN",
        "it cannot be opened",
        "check that its directory exists and that the user that runs pytest may read and write it",
    ),
    ("SQLITE_CORRUPT", "it is damaged", _HINT_CORRUPT),
    (
        "SQLITE_NOTADB",
        "it is not a database of this program, or it is damaged",
        "move the file away (keep it), or set 'state' to another place",
    ),
    (
        "SQLITE_BUSY",
        "another process has been writing to it for too long",
        "look for a stopped or hanging pytest or deploygate process, end it, then try again",
    ),
    (
        "SQLITE_LOCKED",
        "another process has been writing to it for too long",
        "look for a stopped or hanging pytest or deploygate process, end it, then try again",
    ),
    (
        "SQLITE_IOERR",
        "the disk answered with an error",
        "check free space and the health of the disk; the file must be on a local disk",
    ),
)
_POSTGRESQL: tuple[tuple[str, str, str], ...] = (
    ("08", "the connection to the server broke", "check that the server runs, then try again"),
    ("28", "the server refused the user or password", "correct the user or password in 'state'"),
    ("3D", "there is no such database", "create the database that 'state' names"),
    ("3F", "there is no such schema", "create the schema, or correct the search path in 'state'"),
    (
        "42501",
        "the user lacks a privilege",
        "grant the user CREATE and USAGE on the schema, and all rights on the deploygate_* tables",
    ),
    ("25006", "the server is read-only", "connect to the primary server, not to a replica"),
    ("53100", "the server's disk is full", "free space on the server"),
    ("53", "the server is out of resources", "try again later, or raise the server's limits"),
    (
        "55P03",
        "another process has been writing to it for too long",
        "look for a stopped or hanging pytest or deploygate process, end it, then try again",
    ),
    ("57", "the server stopped or cancelled the request", "check that the server runs"),
    ("58", "the server's disk answered with an error", "look into the server's log"),
    ("XX", "the database is damaged", "look into the server's log; restore it from a backup"),
)


def store_error(error: BaseException, place: str) -> StoreError:
    """Translate ``error``, raised by a driver or the system, to a message about ``place`` and a hint."""
    cause, hint = _cause(error)
    return StoreError(f"the record in {place} cannot be used: {cause}", hint=hint)


def _cause(origin: BaseException) -> tuple[str, str]:
    if isinstance(origin, sqlite3.Error):
        name = getattr(origin, "sqlite_errorname", None) or ""
        for prefix, cause, hint in _SQLITE:
            if name.startswith(prefix):
                return cause, hint
        if not name and isinstance(origin, sqlite3.DatabaseError):
            # The driver could not decode the contents of the file.
            return "it is damaged", _HINT_CORRUPT
        return f"SQLite answered {name or type(origin).__name__}", _HINT_CORRUPT
    state = getattr(origin, "sqlstate", None)
    if isinstance(state, str):
        for prefix, cause, hint in _POSTGRESQL:
            if state.startswith(prefix):
                return cause, hint
        return f"the server answered with SQLSTATE {state}", "look into the server's log"
    if isinstance(origin, OSError):
        reason = origin.strerror or type(origin).__name__
        return (
            reason,
            "check that the directory exists and that the user that runs pytest may write it",
        )
    return (
        "the database cannot be reached",
        "check that the server runs, and host, port, user and database in 'state'",
    )


@contextmanager
def translate_errors(place: str) -> Generator[None]:
    """Translate errors of a driver or the system inside the block to :class:`StoreError`."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise store_error(error, place) from error
    except Exception as error:
        # psycopg may not be installed, so recognise its errors by an attribute that only they have.
        if not hasattr(error, "sqlstate"):
            raise
        raise store_error(error, place) from error
