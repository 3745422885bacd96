"""Paths in a pod that the runtime reads."""

from pathlib import Path

FOLDER = "/etc/fleetform"
"""agent.json and its prompts, workflow.json, or fleet.json."""
FILE = "agent.json"
WORKFLOW_FILE = "workflow.json"
FLEET_FILE = "fleet.json"
SECRETS = "/var/run/secrets/fleetform"
"""Secrets: a folder per Secret, a file per key."""
PROBE = ("/opt/runtime/bin/python", "-m", "fleetform_runtime.probe")
"""The health check in the image."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Who a pod is to Kubernetes, where it may ask anything: a token, the authority, the namespace."""
SESSIONS = "/var/lib/fleetform"
"""Conversations of a filesystem store."""
KNOWLEDGE = "/var/lib/fleetform-knowledge"
"""Collections of the embedded store of documents."""
PIPES = "/run/fleetform/mcp"
"""Where a folder is mounted for each MCP server in another container of the pod, by its name."""
BESIDE = (
    "/bin/sh",
    "-c",
    """\
trap 'kill $! 2>/dev/null; exit 0' TERM INT
while :; do
  if [ -p "$0/in" ]; then "$@" <"$0/in" >"$0/out" & wait $!; fi
  sleep 1
done
""",
)
"""Command of that container, before its folder and the words that start the server (docs/adr/0017)."""
