"""Options of sessions that tests begin."""

LEAN = ("-p", "no:hypothesispytest", "-p", "no:anyio")
"""Without plugins that are installed for the tests of this repository alone, and take a third of a start."""
