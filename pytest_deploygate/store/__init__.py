"""The record: lease, rollouts, journal, backups, in SQLite or PostgreSQL.

The record is a copy; what serves is decided by the target alone. What is kept here lets a rollout whose process
died be recovered, keeps two deployers apart, and tells afterwards who did what.
"""

from pytest_deploygate.store.leases import LeaseEvent, LeaseEventKind
from pytest_deploygate.store.sql import SqlStore, open_store

__all__ = ["LeaseEvent", "LeaseEventKind", "SqlStore", "open_store"]
