"""Paths in a pod that the runtime reads."""

FOLDER = "/etc/fleetform"
"""agent.json and its prompts."""
FILE = "agent.json"
SECRETS = "/var/run/secrets/fleetform"
"""Secrets: a folder for each Secret, a file for each key."""
PROBE = ("/opt/runtime/bin/python", "-m", "fleetform_runtime.probe")
"""In the image: whether the runtime lives."""
SESSIONS = "/var/lib/fleetform"
"""Conversations, where they are kept in files."""
