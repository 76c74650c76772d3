"""Notices that the files of the checks, or the source that ships, change while a session runs.

What one phase judged must be what the next one judges and what is promoted. So the digests are taken again before each
verdict, and thereby before each step that leads towards a promotion.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.judge.source_scan import digest_files, suite_digest


class SourceWatch:
    """Knows the files of the checks (``files``, relative to ``root``) as they were when it was made."""

    def __init__(self, root: Path, files: tuple[str, ...]) -> None:
        self._root = root
        self._files = files
        self._digests = digest_files(root, files)
        self._source: tuple[str, Callable[[], Package]] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the checks: they themselves, conftest files, and what they import from beside or above."""
        return tuple(sorted(self._digests.keys() | set(self._files)))

    @property
    def suite_digest(self) -> str:
        """That of all files of the checks, as they were."""
        return suite_digest(self._digests)

    def watch_source(self, package: Package, make_package: Callable[[], Package]) -> None:
        """Watch the source, too; ``package`` is what was made of it first, ``make_package`` makes it again."""
        self._source = (package.digest, make_package)

    def changes(self) -> Iterator[str]:
        """A sentence for each file of the checks that is another one now, and for the source."""
        now = digest_files(self._root, self._files)
        for name in sorted(self._digests.keys() | now.keys()):
            if self._digests.get(name) != now.get(name):
                yield f"{name} changed while the session ran: not all phases were judged by the same checks"
        if self._source is None:
            return
        digest, make_package = self._source
        try:
            is_same = make_package().digest == digest
        except DeployGateError as error:
            yield f"the source changed while the session ran: {error.message}"
            return
        if not is_same:
            yield "the source changed while the session ran: what would be promoted is not what was judged"
