"""The real command line in processes of its own, on a fleet with every target, and files of others around it."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from fleetform.write import RECORD
from tests.fleet import AGENT, API, fleetform, write
from tests.tools import ROOT

LONG = bool(os.environ.get("FLEETFORM_DURABILITY"))
"""Whether this is `make durability`: every point, every combination."""
FLEETFORM = Path(sys.executable).with_name("fleetform")
PATH = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}

_HEAD = f"{API}\nkind: Environment\n"
BASE = f"""{_HEAD}metadata: {{name: base}}
spec:
  abstract: true
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
PROD = f"""{_HEAD}metadata: {{name: prod}}
spec:
  extends: base
  targets: [manifests, helm, kustomize, flux]
  gitops: {{way: helm, source: {{name: f, url: "https://git.example.com/f", branch: main}}}}
"""
ARGO = f"""{_HEAD}metadata: {{name: argo}}
spec:
  extends: base
  targets: [manifests, argocd]
  gitops: {{tool: argocd, source: {{url: "https://git.example.com/f", tag: v1}}}}
"""
ENVIRONMENTS = {"base": BASE, "prod": PROD, "argo": ARGO}


def fleet(folder: Path, prompt: str, names: range) -> Path:
    """Write a fleet whose every file changes with the prompt."""
    agents = {
        f"agents/{n}.yaml": AGENT.replace("helper", f"agent-{n}").replace("You help.", prompt)
        for n in names
    }
    for old in (folder / "agents").glob("*.yaml"):
        old.unlink()
    return write(folder, agents | {f"environments/{n}.yaml": t for n, t in ENVIRONMENTS.items()})


def start(*arguments: str | Path, cwd: Path, command: list[Any] | None = None, **how: Any) -> Any:
    """Start `fleetform` and do not wait for it."""
    words = [*(command or [FLEETFORM]), "render", *arguments]
    how.setdefault("env", PATH)
    return subprocess.Popen(
        words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )


def render(*arguments: str | Path, cwd: Path = ROOT, code: int = 0) -> str:
    """Render in this process; return what was said."""
    done = fleetform("render", *map(str, arguments), cwd=cwd)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    return done.err


def tree(folder: Path) -> dict[str, bytes]:
    """Return every regular file below a folder, links as where they lead, other things as what they are."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(mode):
            found[name] = b"-> " + os.fsencode(path.readlink())
        elif stat.S_ISREG(mode):
            found[name] = path.read_bytes()
        elif not stat.S_ISDIR(mode):
            found[name] = f"{stat.S_IFMT(mode):o}".encode()
    return found


class Others:
    """Twenty-four things of others in and around an output, none of which a run may change."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.places: list[Path] = []
        space, flux = out / "rendered/prod/default", out / "flux/prod"
        values, overlay = out / "charts/values/prod/default", out / "kustomize/overlays/prod"
        victim = self._file(out.parent / "victim.txt", b"precious")
        for number, folder in enumerate((out, space, values, overlay, flux)):
            self._file(folder / "README.md", b"mine")
            self._file(folder / f".hidden-{number}", b"\x00\xff")
            self._link(folder / "a-link", victim)
        self._file(space / "agent-0.yaml.bak", b"a copy")
        self._file(space / "agent-0.yml", b"kind: Own\n")
        self._file(space / "deep/er/own.yaml", b"mine")
        self._file(Path(os.fsdecode(os.fsencode(space) + b"/not-utf8-\xff")), b"x")
        self._file(values / "with\nline", b"x").chmod(0o400)
        self._link(space / "to-nothing", Path("nowhere"))
        self._link(space / "to-itself", Path("to-itself"))
        self._link(overlay / "to-a-folder", out.parent)
        os.mkfifo(self._note(space / "fifo"))
        os.link(victim, self._note(space / "hard-link"))
        self._socket(flux / "socket")
        self.before = self.state()
        assert len(self.places) >= 24

    def _note(self, place: Path) -> Path:
        place.parent.mkdir(parents=True, exist_ok=True)
        self.places.append(place)
        return place

    def _file(self, place: Path, content: bytes) -> Path:
        self._note(place).write_bytes(content)
        return place

    def _link(self, place: Path, target: Path) -> None:
        self._note(place).symlink_to(target)

    def _socket(self, place: Path) -> None:
        here = Path.cwd()
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(self._note(place).parent)  # a socket's path has at most 107 bytes
            try:
                made.bind(place.name)
            finally:
                os.chdir(here)

    def state(self) -> dict[Path, tuple[Any, ...]]:
        """Return what each is, by its own marks and by what it holds."""
        found: dict[Path, tuple[Any, ...]] = {}
        for place in self.places:
            mark = place.lstat()
            same = (mark.st_ino, mark.st_mode, mark.st_mtime_ns, mark.st_size, mark.st_nlink)
            link = place.readlink() if place.is_symlink() else None
            content = place.read_bytes() if link is None and stat.S_ISREG(mark.st_mode) else None
            found[place] = (*same, link, content)
        return found

    def are_untouched(self) -> None:
        """Fail when one of them is another than it was."""
        assert self.state() == self.before

    def names(self) -> set[str]:
        """Return them as `tree` names what is in the output."""
        return {
            str(place.relative_to(self.out)) for place in self.places if self.out in place.parents
        }


def whole(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    """Return the files that are neither old nor new; records, and what is on its way, are ours to mend."""
    return [
        name
        for name, content in found.items()
        if content not in (old.get(name), new.get(name))
        and not name.endswith((RECORD, ".fleetform-new"))
    ]


def record_is_whole(found: dict[str, bytes]) -> bool:
    """Tell whether every record ends with a whole line: it is replaced as a whole, too."""
    records = [text for name, text in found.items() if name.endswith(RECORD)]
    return all(text.startswith(b"# Files written by") and text.endswith(b"\n") for text in records)
