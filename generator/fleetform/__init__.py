"""Fleetform: turns declarative specs of AI agents into Kubernetes objects that you review and commit."""

__version__ = "0.1.0"
