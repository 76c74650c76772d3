"""The channel between the judge and the processes that run checks: what may be said, and both ends of it."""
