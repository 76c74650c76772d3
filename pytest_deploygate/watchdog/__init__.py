"""The detached process that restores the baseline when pytest dies, and the registry of live watchdogs."""
