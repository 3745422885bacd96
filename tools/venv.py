"""Make the project's virtual environment from a hash lock: `venv.py FOLDER LOCK [PACKAGE_FOLDER...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)


def main(folder: str, lock: str, *packages: str) -> int:
    """Create FOLDER, install LOCK with every hash checked, then the project itself and PACKAGE_FOLDERs.

    The generator is compiled to bytecode: start-up time is a feature, and some machines are told
    not to write bytecode as they go.
    """
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        print(
            f"error: this is Python {sys.version.split()[0]}\n  hint: make PYTHON=python{wanted} …",
            file=sys.stderr,
        )
        return 1
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    print(f"installing {lock} into {folder}", file=sys.stderr)
    subprocess.run([*pip, "--require-hashes", "--requirement", lock], check=True)
    own = [word for package in (".", *packages) for word in ("--editable", package)]
    # Plain path files: the import hooks that setuptools prefers cost 12 ms at every start.
    compat = ["--config-settings", "editable_mode=compat"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", *compat, *own], check=True)
    subprocess.run(
        [str(python), "-m", "compileall", "-q", "generator", "runtime/fleetform_runtime"],
        check=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
