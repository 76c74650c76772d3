"""``python -m benchmarks [TOPIC ...]``: measure, print, and keep the figures in RESULTS.md."""

import sys
from collections.abc import Callable

from benchmarks import (
    accuracy_speed,
    canary,
    cloud_run_pace,
    deployed,
    event_loop,
    google_pace,
    instructions,
    router_speed,
    slow_documents,
    status_and_history,
    stepped_rollouts,
    waiting,
)
from benchmarks.figures import RESULTS, Figure, page, table

TOPICS: dict[str, Callable[[], list[Figure]]] = {
    "accuracy": accuracy_speed.figures,
    "canary": canary.figures,
    "steps": stepped_rollouts.figures,
    "ledger": status_and_history.figures,
    "deployed": deployed.figures,
    "slow-documents": slow_documents.figures,
    "router": router_speed.figures,
    "event-loop": event_loop.figures,
    "google": google_pace.figures,
    "google-unscaled": google_pace.unscaled_figures,
    "cloud-run": cloud_run_pace.figures,
    "waiting": waiting.figures,
    "idle": instructions.idle_figures,
    "active": instructions.active_figures,
}


def main() -> int:
    """Exit status 0 when everything was measured, met or not; 2 for an unknown topic."""
    wanted = sys.argv[1:] or list(TOPICS)
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; topics: {', '.join(TOPICS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in wanted:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        found = TOPICS[name]()
        print(table(found), file=sys.stderr, flush=True)
        figures += found
    before = RESULTS.read_text(encoding="utf-8") if sys.argv[1:] else ""
    found_page = page(figures, before)
    print(found_page)
    RESULTS.write_text(found_page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
