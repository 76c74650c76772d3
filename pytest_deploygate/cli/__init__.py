"""The command ``deploygate``: what operators look at and do by hand. Every command has ``--help`` with examples."""

import gc
import sys


def main() -> None:
    """Run the command line; the exit status is one of :class:`pytest_deploygate.core.errors.ExitStatus`."""
    gc.disable()  # what ends in a moment leaves its garbage to the system
    from pytest_deploygate.cli.fast_path import command_of

    if (command := command_of(sys.argv[1:])) is not None:
        sys.exit(command())

    gc.enable()
    from pytest_deploygate.cli.app import run

    sys.exit(run(sys.argv[1:]))
