"""Install exactly what a hash lock lists into a virtual environment, with a progress report.

Nothing is resolved: pip installs the files of the lock by their hashes and asks the index for no
other package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

EXACT = ("--require-hashes", "--no-deps", "--only-binary=:all:")
"""No package without its hash, none that the lock leaves out, no build that would need further packages."""

_PIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==", re.MULTILINE)
_TAKEN = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([^ ]+)")
_SKIPPED = re.compile(r"^Ignoring [^ ]+: markers ")
_STEP = 20
"""Where no terminal shows a running line, one of this many packages is named."""


class LockedError(Exception):
    """Nothing was installed; the message says what failed and what to do."""


def pip(python: Path | str) -> list[str]:
    """Return pip's command, without its update check."""
    return [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]


def tell(text: str) -> None:
    """Print a message to stderr."""
    print(text, file=sys.stderr, flush=True)


def environment(folder: Path, *, base: Path | None = None, clear: bool = False) -> Path:
    """Return the Python of a virtual environment, created if needed; raises LockedError."""
    python = folder / "bin" / "python"
    # If interrupted between the two, there is a Python without pip.
    has_pip = python.exists() and next(folder.glob("lib/python*/site-packages/pip"), None)
    if clear or not has_pip:
        tell(f"making {folder}")
        made = [str(base or sys.executable), "-m", "venv", "--clear", str(folder)]
        _run(made, " ".join(made))
    return python


def install(python: Path, lock: Path, say: Callable[[str], None] = tell) -> None:
    """Install the packages of a lock and compile them; raises LockedError."""
    total = len(_PIN.findall(lock.read_text("utf-8")))
    say(f"{lock}: {total} packages into {python.parents[1]}")
    command = [*pip(python), "install", "--no-compile", "--progress-bar=off", *EXACT]
    with subprocess.Popen(
        [*command, "--requirement", str(lock)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        said = _follow(process.stdout, total, say)
    if process.returncode:
        raise LockedError(_explained(lock, said))
    say("  compiling them to bytecode")
    # Files that are not valid for this Python version (templates, newer syntax) are not an error.
    site = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    folder = _run(site, f"asking {python}").strip()
    compile_all = [str(python), "-m", "compileall", "-qq", "-j", "0", folder]
    subprocess.run(compile_all, stdin=subprocess.DEVNULL, check=False)


def install_own(python: Path, folders: Iterable[str]) -> None:
    """Install packages of this repository, editable, built with what the lock contains; raises LockedError."""
    own = [word for folder in folders for word in ("--editable", folder)]
    # Plain path files: the import hooks that setuptools prefers cost 12 ms at every start.
    compat = ["--config-settings", "editable_mode=compat"]
    exact = ["--no-index", "--no-deps", "--no-build-isolation"]
    _run([*pip(python), "--quiet", "install", *exact, *compat, *own], "installing the project")


def _follow(lines: Iterable[str], total: int, say: Callable[[str], None]) -> list[str]:
    """Derive the progress from pip's output; return the output."""
    said, taken = [], 0
    for line in lines:
        said.append(line.rstrip())
        if _SKIPPED.match(line):
            total -= 1
        elif found := _TAKEN.match(line):
            taken += 1
            _tell_progress(f"  {taken:>3} of {total}  {found[1]}", taken, total, say)
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking {taken} packages")
    return said


def _tell_progress(line: str, taken: int, total: int, say: Callable[[str], None]) -> None:
    if say is tell and sys.stderr.isatty():
        end = "\n" if taken == total else ""
        print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
    elif taken in (1, total) or taken % _STEP == 0:
        say(line)


def _explained(lock: Path, said: list[str]) -> str:
    """Turn pip's output into an error and a hint."""
    errors = [line for line in said if line.startswith("ERROR:")] or said[-5:]
    text = "\n".join(errors)
    if "DO NOT MATCH THE HASHES" in text:
        hint = f"the index serves other files than {lock} names: check PIP_INDEX_URL and proxies"
    elif "No matching distribution" in text:
        index = os.environ.get("PIP_INDEX_URL", "pip's configured index")
        hint = (
            f"{_without_secrets(index)} does not serve this version as a wheel for this machine and "
            "Python, or cannot be reached: check the network, PIP_INDEX_URL and `python3 --version`"
        )
    else:
        hint = "run it again; with a closed network set PIP_INDEX_URL to an index it can reach"
    return f"{lock} could not be installed\n{text}\n  hint: {hint}"


def _without_secrets(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", address)


def _run(command: list[str], what: str) -> str:
    """Run a command and return its output; raises LockedError with it."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise LockedError(f"{what} failed\n{(done.stdout + done.stderr).rstrip()}")
    return done.stdout
