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
        numbered = [
            n for n in profile().roles.various if golden(n).invoice_number not in ("", UNKNOWN)
        ]
        faults = list(SINK_FAULTS)
        made: dict[str, Posting] = {}
        for first in range(0, len(faults), len(numbered)):
            made |= self._post_at_once(dict(zip(faults[first:], numbered, strict=False)))
        return made

    def _post_at_once(self, names: Mapping[str, str]) -> dict[str, Posting]:
        numbers = {golden(name).invoice_number: fault for fault, name in names.items()}
        late_s = max(map(longest_delay_s, names))
        with failing(self._service, numbers, place=self._poster.sink.fault_place):
            made = self._poster.post_all({n: upload(n) for n in names.values()}, late_s=late_s)
        return {fault: made[name] for fault, name in names.items()}
