"""The command ``deploygate``: what operators look at and do by hand. Every command has ``--help`` with examples."""

import sys


def main() -> None:
    """Run the command line; the exit status is one of :class:`pytest_deploygate.core.errors.ExitStatus`."""
    from pytest_deploygate.cli.app import run

    sys.exit(run(sys.argv[1:]))
