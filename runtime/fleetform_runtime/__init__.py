"""Serve one agent, described by the agent.json that is mounted into its pod."""

__version__ = "0.1.0"
