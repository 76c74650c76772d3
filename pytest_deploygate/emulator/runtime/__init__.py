"""Builds functions and runs their revisions."""
