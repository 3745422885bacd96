"""Carry out runs: one answer of the agent each, with events that can be followed."""
