"""Decide who may call, and how much."""
