"""Write the pictures of docs/ui.md: `make screenshots`."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.page import servers
from tests.tools import ROOT

PICTURES = ROOT / "docs/ui"


def main() -> None:
    """Run agents and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, servers.agents(Path(folder)) as addresses:
        subprocess.run(
            ["node", "test/browser/screenshots.mjs"],
            cwd=ROOT / "ui",
            env={**os.environ, "AGENTS": json.dumps(addresses), "PICTURES": str(PICTURES)},
            check=True,
        )


if __name__ == "__main__":
    main()
