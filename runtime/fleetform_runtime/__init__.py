"""Serves one agent, as described by the agent.json mounted into its pod."""

__version__ = "0.1.0"
