"""The image's own health check, for places without a kubelet: exit 0 while the agent is alive."""

import json
import os
import sys
import urllib.request
from pathlib import Path

from fleetform_runtime.cli import CONFIG


def main() -> int:
    """Ask the process in this container whether it is alive."""
    try:
        document = json.loads(Path(os.environ.get("FLEETFORM_CONFIG", CONFIG)).read_bytes())
        port = document.get("server", {}).get("port", 8080)
        path = document.get("health", {}).get("livePath", "/health")
        url = f"http://127.0.0.1:{int(port)}{path}"
        with urllib.request.urlopen(url, timeout=2) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, ValueError, AttributeError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
