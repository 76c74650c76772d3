"""All suites on a function that takes 8 s a document, as one does whose reading is a slow service."""

import time

from benchmarks.deployed import checkout
from benchmarks.figures import Figure
from tests.e2e.checkout import Checkout

SECONDS = 8
FUNCTION = "fixtures/process_invoice/main.py"
READS = "    pdf = _pdf_of(request)\n"


def figures() -> list[Figure]:
    """One figure: a rollout whose predecessor was as slow, so that the two are compared as well."""
    with checkout(before=_slow_down, first=_deploy) as project:
        project.touch_source("another release")
        seconds = _deploy(project)
    return [
        Figure(
            topic="slow documents",
            what=f"whole rollout with {SECONDS} s a document: staging and all suites, from readiness to live",
            value=seconds,
            unit="s",
            at_most=300,
        )
    ]


def _slow_down(project: Checkout) -> None:
    slow = f"{READS}    import time\n\n    time.sleep({SECONDS})\n"
    project.edit(FUNCTION, READS, slow)


def _deploy(project: Checkout) -> float:
    """Seconds that a whole rollout took, however long it takes."""
    began = time.monotonic()
    process = project.start("--deploy-to=local", "-q")
    output = "".join(process.communicate())
    if process.returncode != 0:
        raise RuntimeError(output)
    return time.monotonic() - began
