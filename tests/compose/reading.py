"""A Compose environment on disk, and what Compose's own loader reads of it."""

import json
from pathlib import Path
from typing import Any

from tests import tools
from tests.fleet import fleetform

Json = dict[str, Any]
VALUE = "not-a-secret-$X-${Y}-$$(Z)-'quoted'"


def rendered(folder: Path, environment: str = "prod", **values: str) -> Path:
    """Render the fleet in a folder for Compose, write its secrets, and return compose.yaml."""
    outcome = fleetform("render", "--env", environment, "--target", "compose", cwd=folder)
    assert outcome.code == 0, outcome.err
    (folder / "all.env").write_text("".join(f"{name}='{text}'\n" for name, text in values.items()))
    outcome = fleetform("secrets", "--env", environment, "--env-file", "all.env", cwd=folder)
    assert outcome.code == 0, outcome.err
    return folder / "compose" / environment / "compose.yaml"


def load(file: Path) -> Json:
    """Return the project as `docker compose` would run it; what it refuses fails the test."""
    done = tools.run("compose", file)
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    return found


def refusal(file: Path) -> str:
    """Return why the loader refuses a file."""
    done = tools.run("compose", file)
    assert done.returncode == 1, "the loader takes it"
    return done.stderr
