"""A pytest session that decides a deployment: what it refuses, how it flows, how it ends."""
