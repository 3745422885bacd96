"""Fleetform: declarative specs of AI agents in, reviewed Kubernetes objects out."""

__version__ = "0.1.0"
