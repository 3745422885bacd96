"""Workflows: agents that work together, step by step, in runs that survive whoever executes them.

A run is kept in a store under its name, with the definition that it began with. Whoever executes it holds a lease, and
every write is fenced by its epoch: what has been taken over can no longer be written by whoever had it before. A step
is a message to an agent with an id that follows from the run, so that after a crash the agent is found at work on it,
or with the answer, and is never asked twice.
"""
