"""Owns the spreadsheets of one home, in a process of its own; its arguments are their file and how tabs are made."""

import os
import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from pytest_deploygate.core.redaction import Redactor, secrets_among
from pytest_deploygate.emulator.services.call_loop import answer_calls
from pytest_deploygate.emulator.services.sheets.models import SheetsStore
from pytest_deploygate.emulator.services.sheets.urls import URLS
from pytest_deploygate.system.json_log import log_to_stderr


def main() -> int:
    """Answer calls until the input ends."""
    path = Path(sys.argv[1])
    log_to_stderr(Redactor(secrets_among(os.environ)))
    try:
        store = SheetsStore(path, create_tabs=sys.argv[2] == "create-tabs")
    except sqlite3.DatabaseError as error:
        sys.stderr.write(f"{path} cannot be read: {error}\nhint: remove it to start from nothing\n")
        return 1
    with closing(store):
        answer_calls([partial(act, store) for _, _, act in URLS])
    return 0


if __name__ == "__main__":
    sys.exit(main())
