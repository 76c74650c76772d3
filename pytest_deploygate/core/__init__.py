"""Values and rules of a rollout: what counts as evidence, what it allows, what comes next.

Standard library only; nothing here reads a clock, a file or a socket.
"""
