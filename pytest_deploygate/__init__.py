"""Decides by evidence whether a deployment ships: pytest suites as gates, a rollout as the result."""

__version__ = "0.1.0"
