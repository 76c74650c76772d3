"""URLs of the documentation: the wheel does not contain ``docs/``."""

from typing import Final

BASE_URL: Final = "https://pytest-deploygate.readthedocs.io/"


def page_url(page: str) -> str:
    """URL of a page, named by its file under ``docs/`` without the suffix, with an optional ``#anchor``."""
    name, mark, anchor = page.partition("#")
    return f"{BASE_URL}{name}.html{mark}{anchor}"


def stranded_advice(environment: str) -> str:
    """What to do about a stranded rollout: the same line wherever one is reported."""
    return f"an operator must look: deploygate status {environment}; {STRANDED_HELP}"


STRANDED_HELP: Final = page_url("how-to/runbook#a-stranded-rollout")
SERVES_BAD_HELP: Final = page_url("how-to/runbook#what-serves-is-bad")
