"""Optimal one-to-one assignment of a few rows to columns."""

from collections.abc import Sequence


def assign(weights: Sequence[Sequence[int]]) -> list[int]:
    """The column of each row, all different, so that the sum of weights is greatest; no more rows than columns.

    The Hungarian algorithm with potentials, cubic in the size; of equal sums the choice depends only on ``weights``.
    """
    columns = len(weights[0])
    row_potential, column_potential = [0] * (len(weights) + 1), [0] * (columns + 1)
    row_of = [0] * (columns + 1)  # counted from 1; column 0 holds the row that looks for a place
    for row in range(1, len(weights) + 1):
        row_of[0] = row
        came_from = _shortest_path(weights, row_of, row_potential, column_potential)
        column = came_from[0]
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    chosen = [0] * len(weights)
    for column, row in enumerate(row_of[1:]):
        if row:
            chosen[row - 1] = column
    return chosen


def _shortest_path(
    weights: Sequence[Sequence[int]],
    row_of: list[int],
    row_potential: list[int],
    column_potential: list[int],
) -> list[int]:
    """The column before each on the cheapest way to a free column, which stands in place 0; adapts the potentials."""
    columns = len(column_potential) - 1
    slack: list[int | None] = [None] * (columns + 1)
    came_from = [0] * (columns + 1)
    is_used = [False] * (columns + 1)
    here = 0
    while row_of[here]:
        is_used[here] = True
        row, least, nearest = row_of[here], None, 0
        for column in range(1, columns + 1):
            if is_used[column]:
                continue
            reduced = -weights[row - 1][column - 1] - row_potential[row] - column_potential[column]
            known = slack[column]
            if known is None or reduced < known:
                slack[column], came_from[column] = reduced, here
                known = reduced
            if least is None or known < least:
                least, nearest = known, column
        step = least or 0
        for column in range(columns + 1):
            known = slack[column]
            if is_used[column]:
                row_potential[row_of[column]] += step
                column_potential[column] -= step
            elif known is not None:
                slack[column] = known - step
        here = nearest
    came_from[0] = here
    return came_from
