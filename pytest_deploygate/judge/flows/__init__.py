"""One workflow a mode: deploy, verify what serves, plan."""
