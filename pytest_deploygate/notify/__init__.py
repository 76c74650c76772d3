"""Tells people and machines how rollouts ended: a process of its own that nobody waits for and that decides nothing.

The record is the outbox: whatever ended lately and has no delivery that arrived is sent, again and again, so that a
process that dies loses nothing. A receiver may therefore be told twice; each message has an id that stays.
"""
