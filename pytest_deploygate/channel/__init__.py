"""The channel between the judge and the processes that run checks: what may be said, and both ends of it."""

from typing import Final

SESSION_VARIABLE: Final = "DEPLOYGATE_SESSION"
"""Tells the session and its workers where the judge is: JSON of ``address``, ``judge``, ``session``, ``junit``."""
