"""All suites on a function that takes 8 s a document, as one does whose reading is a slow service."""

from benchmarks.deployed import checkout, deploy
from benchmarks.figures import Figure

SECONDS = 8
FUNCTION = "fixtures/process_invoice/main.py"
READS = "    pdf = _pdf_of(request)\n"


def figures() -> list[Figure]:
    """One figure: a rollout whose predecessor was as slow, so that the two are compared as well."""
    slow = f"{READS}    import time\n\n    time.sleep({SECONDS})\n"
    with checkout(before=lambda project: project.edit(FUNCTION, READS, slow)) as project:
        project.touch_source("another release")
        seconds = deploy(project)
    return [
        Figure(
            topic="slow documents",
            what=f"whole rollout with {SECONDS} s a document: staging and all suites, from readiness to live",
            value=seconds,
            unit="s",
            at_most=300,
        )
    ]
