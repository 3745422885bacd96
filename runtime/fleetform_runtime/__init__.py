"""Serve one agent, described by the agent.json that is mounted into its pod."""
