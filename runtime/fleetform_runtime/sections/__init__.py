"""Hold the sections of agent.json, one module per subject."""
