"""Paths in a pod that the runtime reads."""

FOLDER = "/etc/fleetform"
"""agent.json and its prompts."""
FILE = "agent.json"
SECRETS = "/var/run/secrets/fleetform"
"""Secrets: a folder per Secret, a file per key."""
PROBE = ("/opt/runtime/bin/python", "-m", "fleetform_runtime.probe")
"""The health check in the image."""
SESSIONS = "/var/lib/fleetform"
"""Conversations of a filesystem store."""
