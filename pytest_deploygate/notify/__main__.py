"""``python -m pytest_deploygate.notify ROOT``: the process that sends notifications."""

import sys
from importlib import import_module
from pathlib import Path

from pytest_deploygate.notify.starting import SENDER

if __name__ == "__main__":
    module, _, name = SENDER.partition(":")
    sys.exit(getattr(import_module(module), name)(Path(sys.argv[1])))
