"""The record: lease, rollouts, journal, backups, in SQLite or PostgreSQL.

The record is a copy: only the target says what serves. The record lets a recovery end the rollout of a dead process,
keeps two deployers apart, and shows afterwards who did what.
"""

from pytest_deploygate.store.leases import LeaseEvent, LeaseEventKind
from pytest_deploygate.store.sql import SqlStore, open_store

__all__ = ["LeaseEvent", "LeaseEventKind", "SqlStore", "open_store"]
