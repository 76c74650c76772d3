"""``python -m pytest_deploygate.cli`` is ``deploygate``."""

from pytest_deploygate.cli import main

if __name__ == "__main__":
    main()
