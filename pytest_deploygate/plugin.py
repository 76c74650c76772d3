"""Hook functions of the pytest plugin: translate, delegate, report; no decision."""
