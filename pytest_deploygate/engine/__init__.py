"""Runs a rollout through the table of :mod:`pytest_deploygate.core.state_machine`: journal, act, observe, recover.

The engine journals every effect before it begins and again with what it observed. During a rollback a record that
cannot be written does not stop the traffic write: serving the baseline matters more.
"""
