"""Own where a pod has what the runtime reads."""

FOLDER = "/etc/fleetform"
"""agent.json and its prompts."""
FILE = "agent.json"
SECRETS = "/var/run/secrets/fleetform"
"""Secrets: a folder for each Secret, a file for each key."""
SESSIONS = "/var/lib/fleetform"
"""Conversations, where they are kept in files."""
