"""The sections of agent.json, one module per subject."""
