"""Runs: each is one answer of the agent, with events that can be followed."""
