"""Pages that people look at: one rollout, or the history of an environment; self-contained, without any script.

Loaded only when a page is asked for.
"""
