"""``python -m pytest_deploygate.emulator --home DIRECTORY``: runs the emulator, in the foreground or detached."""

import argparse
import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.redaction import Redactor, secrets_among
from pytest_deploygate.emulator.lifecycle import ERROR_FILE, LOG_FILE
from pytest_deploygate.system.json_log import log_to_stderr


def main() -> int:
    """Run; the exit status is 1 if it could not start."""
    parser = argparse.ArgumentParser(prog="python -m pytest_deploygate.emulator")
    parser.add_argument("--home", type=Path, required=True, help="directory that keeps everything")
    parser.add_argument(
        "--port", type=int, default=0, help="port of the admin API on 127.0.0.1; 0 for any"
    )
    parser.add_argument(
        "--detach", action="store_true", help="go on as a process of its own and return at once"
    )
    options = parser.parse_args()
    home: Path = options.home.absolute()
    if options.detach and not _detach(home):
        return 0
    log_to_stderr(Redactor(secrets_among(os.environ)))
    try:
        gc.disable()  # what is loaded stays, and takes a sixth longer with it
        from pytest_deploygate.emulator.server import serve

        gc.freeze()
        gc.enable()
        asyncio.run(serve(home, options.port))
    except ConfigError as error:
        text = json.dumps({"message": error.message, "hint": error.hint})
        (home / ERROR_FILE).write_text(text, encoding="utf-8")
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:
        text = json.dumps(
            {
                "message": f"the emulator did not start: {error!r}",
                "hint": f"see {home / LOG_FILE}",
            }
        )
        (home / ERROR_FILE).write_text(text, encoding="utf-8")
        raise
    return 0


def _detach(home: Path) -> bool:
    """Leave the caller's process group and terminal; True in the process that goes on.

    The caller reads the process id of the one that goes on. The process forks before it loads anything heavy, so that
    the caller waits only a moment, and has no child to look after.
    """
    child = os.fork()
    if child != 0:
        sys.stdout.write(f"{child}\n")
        return False
    os.setsid()
    log = os.open(home / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir(home)
    return True


if __name__ == "__main__":
    sys.exit(main())
