"""Create the project's virtual environment from a hash lock: `venv.py FOLDER LOCK [PACKAGE_FOLDER...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import locked

OLDEST = (3, 11)


def main(folder: str, lock: str, *packages: str) -> int:
    """Create FOLDER, install LOCK with every hash checked, then the project itself and PACKAGE_FOLDERs.

    The generator is compiled to bytecode: start-up time is a feature, and some machines are told
    not to write bytecode as they go.
    """
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        locked.tell(
            f"error: this is Python {sys.version.split()[0]}\n  hint: make PYTHON=python{wanted} …"
        )
        return 1
    try:
        python = locked.environment(Path(folder))
        locked.install(python, Path(lock))
        locked.install_own(python, (".", *packages))
    except (locked.LockedError, OSError) as error:
        locked.tell(f"error: {error}")
        return 1
    own = ["generator", "runtime/fleetform_runtime"]
    subprocess.run([str(python), "-m", "compileall", "-q", *own], check=False)
    locked.tell(f"{folder} is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
