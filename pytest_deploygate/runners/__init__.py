"""Runs the checks of one phase: in this process, or in workers of pytest-xdist."""
