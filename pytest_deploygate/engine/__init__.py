"""Carries a rollout through the table of :mod:`pytest_deploygate.core.state_machine`: journal, act, observe, resume.

Every effect is journalled before it begins and after it was observed. While traffic is being returned to the
baseline, a record that cannot be written does not stop it: serving the baseline matters more.
"""
