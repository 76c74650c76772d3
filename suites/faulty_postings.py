"""Postings while the sink fails: each fault is made once, for every gate that looks at what the caller hears."""

from collections.abc import Mapping

from suites.invoices import Posting, golden, upload
from suites.posting import UNKNOWN, Poster
from suites.support.profile import profile
from suites.support.sink_faults import SINK_FAULTS, failing, longest_delay_s


class FaultyPostings:
    """A document for each fault of the sink's service, all posted at once: writes are told apart by their number."""

    def __init__(self, poster: Poster, service: str) -> None:
        self._poster = poster
        self._service = service
        self._known: dict[str, Posting] = {}

    def of(self, fault: str) -> Posting:
        """The posting whose write went wrong in that way."""
        if not self._known:
            self._known = self._post_all()
        return self._known[fault]

    def _post_all(self) -> dict[str, Posting]:
        numbered = [n for n in profile().roles.various if _number_of(n)]
        faults = list(SINK_FAULTS)
        made: dict[str, Posting] = {}
        for first in range(0, len(faults), len(numbered)):
            made |= self._post_at_once(dict(zip(faults[first:], numbered, strict=False)))
        return made

    def _post_at_once(self, names: Mapping[str, str]) -> dict[str, Posting]:
        numbers = {_number_of(name): fault for fault, name in names.items()}
        late_s = max(map(longest_delay_s, names))
        with failing(self._service, numbers, place=self._poster.sink.fault_place) as met:
            made = self._poster.post_all({n: upload(n) for n in names.values()}, late_s=late_s)
        unmet = [
            f"{fault} ({name})" for fault, name in names.items() if _number_of(name) not in met
        ]
        assert not unmet, (
            f"no write met the fault {', '.join(unmet)}: these documents of roles.various in the suite profile were "
            "not written with their number"
        )
        return {fault: made[name] for fault, name in names.items()}


def _number_of(name: str) -> str:
    """The one number that the document's rows bear; empty if they bear none or several."""
    numbers = set(golden(name).numbers) - {"", UNKNOWN}
    return numbers.pop() if len(numbers) == 1 else ""
