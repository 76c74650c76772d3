"""Traffic plan of a service as a value: percent by revision, and revision by tag.

Percentages are whole numbers that add up to 100. A tag gives a revision its own URL and no traffic.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from pytest_deploygate.core.identifiers import RevisionName

LATEST = RevisionName("LATEST")
"""In a traffic plan: the revision that was deployed last, like the platform's own LATEST target."""


class _Plan(NamedTuple):
    shares: tuple[tuple[RevisionName, int], ...]
    tags: tuple[tuple[str, RevisionName], ...]


class Traffic(_Plan):
    """A whole traffic plan: ``shares`` (revision, percent > 0) and ``tags`` (tag, revision), both sorted."""

    __slots__ = ()

    def __new__(
        cls,
        shares: tuple[tuple[RevisionName, int], ...],
        tags: tuple[tuple[str, RevisionName], ...] = (),
    ) -> Self:
        """Create a consistent plan.

        Raises:
            ValueError: a share is below 1, the shares do not add up to 100 (no shares are allowed: a service that
                serves nothing yet), or a revision or tag is named twice.
        """
        if shares and sum(percent for _, percent in shares) != 100:
            raise ValueError(f"traffic shares do not add up to 100: {shares}")
        if any(percent < 1 for _, percent in shares):
            raise ValueError(f"a traffic share is below 1 percent: {shares}")
        for names in ([r for r, _ in shares], [t for t, _ in tags]):
            if len(set(names)) != len(names):
                raise ValueError(f"named twice in a traffic plan: {names}")
        return super().__new__(cls, tuple(sorted(shares)), tuple(sorted(tags)))

    @classmethod
    def of(
        cls, shares: Mapping[RevisionName, int], tags: Mapping[str, RevisionName] | None = None
    ) -> "Traffic":
        """A plan from mappings; shares of 0 percent are dropped."""
        return cls(
            shares=tuple((r, p) for r, p in shares.items() if p),
            tags=tuple((tags or {}).items()),
        )

    def percent(self, revision: RevisionName) -> int:
        """Percent that ``revision`` gets, 0 if it is not named."""
        return dict(self.shares).get(revision, 0)

    @property
    def is_split(self) -> bool:
        """Whether more than one revision gets traffic."""
        return len(self.shares) > 1

    @property
    def is_pinned(self) -> bool:
        """Whether no share follows LATEST."""
        return LATEST not in dict(self.shares)

    @property
    def sole(self) -> RevisionName | None:
        """The revision that gets all traffic, or None."""
        return self.shares[0][0] if len(self.shares) == 1 else None

    def with_shares(self, shares: Mapping[RevisionName, int]) -> "Traffic":
        """The same tags with other shares."""
        return Traffic.of(shares, dict(self.tags))

    def with_tags(self, tags: Mapping[str, RevisionName], *, drop: Iterable[str] = ()) -> "Traffic":
        """The same shares with ``tags`` set and the tags in ``drop`` removed; all other tags stay."""
        gone = set(drop)
        merged = {t: r for t, r in self.tags if t not in gone} | dict(tags)
        return Traffic.of(dict(self.shares), merged)

    def __str__(self) -> str:
        """``rev-1=90,rev-2=10;dg-cand>rev-2``, as in the journal; :meth:`parse` reads it."""
        shares = ",".join(f"{r}={p}" for r, p in self.shares)
        tags = ",".join(f"{t}>{r}" for t, r in self.tags)
        return f"{shares};{tags}" if tags else shares

    @classmethod
    def parse(cls, text: str) -> "Traffic":
        """Read the text that ``str`` returns.

        Raises:
            ValueError: the text is not a traffic plan.
        """
        shares_text, _, tags_text = text.partition(";")
        shares = [pair.split("=") for pair in shares_text.split(",") if pair]
        tags = [pair.split(">") for pair in tags_text.split(",") if pair]
        return cls(
            shares=tuple((RevisionName(revision), int(percent)) for revision, percent in shares),
            tags=tuple((tag, RevisionName(revision)) for tag, revision in tags),
        )


def fresh_percent(percent: int) -> int:
    """Share of a fresh baseline while the candidate has ``percent``: as much, but at most half of the rest.

    So both sides have the same traffic up to a third of it, and the baseline, which a rollback returns to, keeps at
    least as much as the fresh one. At 99 percent the fresh baseline has the last one; at 100 there is none.
    """
    rest = 100 - percent
    return min(percent, max(rest // 2, 1), rest)


def step_traffic(
    candidate: RevisionName,
    baseline: RevisionName,
    percent: int,
    fresh: RevisionName | None = None,
) -> Traffic:
    """Traffic plan of a step: ``percent`` for ``candidate``, the rest for ``baseline``, or for it and ``fresh``."""
    if fresh is None:
        return Traffic.of({candidate: percent, baseline: 100 - percent})
    compared = fresh_percent(percent)
    return Traffic.of({candidate: percent, fresh: compared, baseline: 100 - percent - compared})


def steps_to(
    candidate: RevisionName,
    baseline: RevisionName | None,
    steps: tuple[int, ...],
    fresh: RevisionName | None = None,
) -> tuple[Traffic, ...]:
    """Traffic plans of each step in turn, as :func:`step_traffic` gives them.

    ``steps`` ascends within 1..100 and ends with 100. Without a baseline there is only the last step.
    """
    if baseline is None:
        return (Traffic.of({candidate: 100}),)
    return tuple(step_traffic(candidate, baseline, percent, fresh) for percent in steps)
