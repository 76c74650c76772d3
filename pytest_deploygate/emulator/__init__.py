"""The emulator: a process of its own on loopback that builds, runs and serves functions.

It speaks the REST of Cloud Functions v2, Cloud Run v2 and of the Sheets v4 values, so that the one target drives it
with Google's official clients. It outlives pytest, and it keeps functions, revisions, traffic, IAM, ports and sheets
in its home directory through restarts and ``kill -9``. Side endpoints under ``/_local/`` inject faults and show
statistics, the log of every traffic list and the log of admin calls. It binds 127.0.0.1 only.

Only :mod:`pytest_deploygate.emulator.lifecycle` may be imported outside of that process: it starts, finds and stops it.
"""
