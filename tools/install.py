"""Install the pinned tools of the tests and benchmarks below .tools/, each in its own folder."""

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import found
import locked

SOURCE = Path(__file__).resolve().parent
TARGET = SOURCE.parent / ".tools"
OLDEST_GO = (1, 26)
# More concurrent builds than this only compete for CPU and memory.
BUILDS_AT_ONCE = 4


class InstallError(Exception):
    """A tool could not be installed; the message says which command failed and how."""


@dataclass(frozen=True)
class GoTool:
    """Build one command of the Go module in the tool's folder."""

    package: str
    tags: str = ""

    def build(self, name: str, folder: Path) -> None:
        """Compile without C, so that one file runs everywhere; go.sum vouches for every source."""
        stamps = "".join(f" -X {stamp}" for stamp in self.stamps())
        flags = ["-trimpath", "-buildvcs=false", f"-ldflags=-s -w{stamps}", f"-tags={self.tags}"]
        command = [_go(), "build", *flags, "-o", str(folder / name), self.package]
        _run(command, cwd=self.source(name), env=_go_environment())

    def source(self, name: str) -> Path:
        """Return the folder of the module."""
        return SOURCE / name

    def stamps(self) -> tuple[str, ...]:
        """Return the variables that a release would set, as PACKAGE.NAME=VALUE."""
        return ()


@dataclass(frozen=True)
class StampedGoTool(GoTool):
    """Build a command that reports an old version unless told otherwise."""

    stamped: tuple[str, ...] = ()

    def stamps(self) -> tuple[str, ...]:
        """Return the variables that this command needs."""
        return self.stamped


@dataclass(frozen=True)
class SharedGoTool(StampedGoTool):
    """Build one of several commands that are pinned together, in a folder named after all of them."""

    module: str = ""

    def source(self, name: str) -> Path:
        """Return the folder of the module."""
        del name
        return SOURCE / self.module


@dataclass(frozen=True)
class BundledGoTool(GoTool):
    """Build a command together with YAML files of its own module."""

    module: str = ""
    bundle: str = ""
    files: tuple[str, ...] = ()

    def build(self, name: str, folder: Path) -> None:
        """Write the files, which may be patterns, as one file next to the command."""
        super().build(name, folder)
        command = [_go(), "list", "-m", "-f", "{{.Dir}}", self.module]
        module = Path(_run(command, cwd=self.source(name), env=_go_environment()).strip())
        found = [path for pattern in self.files for path in sorted(module.glob(pattern))]
        text = "---\n".join(path.read_text("utf-8") for path in found)
        (folder / self.bundle).write_text(text, "utf-8")


@dataclass(frozen=True)
class SharedBundledGoTool(BundledGoTool):
    """Build one of several commands that are pinned together, with YAML files of its own module."""

    pins: str = ""

    def source(self, name: str) -> Path:
        """Return the folder of the module."""
        del name
        return SOURCE / self.pins


# Nodes become ready, pods run, end and disappear, at once.
STAGES = tuple(
    f"kustomize/stage/{stage}.yaml"
    for stage in (
        "node/fast/node-initialize",
        "node/heartbeat-with-lease/node-heartbeat-with-lease",
        *(f"pod/fast/pod-{stage}" for stage in ("ready", "complete", "delete")),
    )
)
KUBERNETES = ("v1.36.3", "1", "36")
"""Version, and its first two numbers, of the control plane; tools/kubernetes/go.mod pins it."""
_STAMP = "k8s.io/component-base/version.git"


def _of_kubernetes(package: str) -> SharedGoTool:
    """Return a component of the control plane, which reports its version."""
    stamped = zip(("Version", "Major", "Minor"), KUBERNETES, strict=True)
    return SharedGoTool(
        package,
        stamped=tuple(f"{_STAMP}{name}={value}" for name, value in stamped),
        module="kubernetes",
    )


@dataclass(frozen=True)
class PythonTool:
    """Install hash-locked wheels into a separate virtual environment."""

    launcher: str

    def build(self, name: str, folder: Path) -> None:
        """Write a launcher that finds its environment relative to itself, since the folder is moved."""
        python = locked.environment(folder / "venv")
        lock = SOURCE / name / "requirements.txt"
        locked.install(python, lock, lambda text: locked.tell(f"{name}: {text.strip()}"))
        launcher = folder / name
        launcher.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{self.launcher} "$@"\n')
        launcher.chmod(0o755)


@dataclass(frozen=True)
class NodeTool:
    """Install hash-locked packages of npm beside a script that uses them; Node.js itself is this machine's."""

    script: str

    def build(self, name: str, folder: Path) -> None:
        """Copy the script and its lock, and install what the lock says; no package runs a program of its own."""
        if not shutil.which("npm"):
            raise InstallError("npm is not on this machine")
        for file in (self.script, "package.json", "package-lock.json"):
            shutil.copy(SOURCE / name / file, folder)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
        launcher = folder / name
        launcher.write_text(f'#!/bin/sh\nexec node "$(dirname "$0")/{self.script}" "$@"\n')
        launcher.chmod(0o755)


@dataclass(frozen=True)
class Definitions:
    """Generate CRDs from the Go types of modules that contain no YAML."""

    packages: tuple[str, ...]

    def build(self, name: str, folder: Path) -> None:
        """Run controller-gen, which go.mod pins together with the types."""
        generator = "sigs.k8s.io/controller-tools/cmd/controller-gen"
        paths = [f"paths={package}" for package in self.packages]
        command = [_go(), "run", generator, "crd", *paths, f"output:crd:dir={folder}"]
        _run(command, cwd=SOURCE / name, env=_go_environment())


@dataclass(frozen=True)
class Schemas:
    """Generate JSON schemas of built-in kinds and of custom resources."""

    definitions: str

    def build(self, name: str, folder: Path) -> None:
        """Read them from Go modules and generated CRDs, these through our own YAML reader."""
        script = SOURCE / name / "generate.py"
        reader, more = str(install("yaml2json")), str(install(self.definitions))
        command = [sys.executable, str(script), _go(), reader, more, str(folder)]
        _run(command, cwd=SOURCE / name, env=_go_environment())


Recipe = GoTool | PythonTool | NodeTool | Definitions | Schemas

RECIPES: dict[str, Recipe] = {
    "actionlint": GoTool("github.com/rhysd/actionlint/cmd/actionlint"),
    "argo-rollouts": BundledGoTool(
        "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        module="github.com/argoproj/argo-rollouts",
        bundle="crds.yaml",
        files=("manifests/crds/*-crd.yaml",),
    ),
    # Ours, on the rules that Argo Workflows itself judges objects by.
    "argo": BundledGoTool(
        ".",
        module="github.com/argoproj/argo-workflows/v4",
        bundle="crds.yaml",
        files=tuple(
            f"manifests/base/crds/full/argoproj.io_{name}.yaml"
            for name in ("cronworkflows", "workflows", "workflowtemplates")
        ),
    ),
    # What carries workflows out, of the version that judges them, with all definitions that it watches.
    "argo-controller": SharedBundledGoTool(
        "github.com/argoproj/argo-workflows/v4/cmd/workflow-controller",
        module="github.com/argoproj/argo-workflows/v4",
        bundle="crds.yaml",
        files=("manifests/base/crds/full/argoproj.io_*.yaml",),
        pins="argo",
    ),
    # Its schemas of CI systems are part of the package: it downloads nothing.
    "check-jsonschema": PythonTool('exec "$here/venv/bin/python" -m check_jsonschema'),
    # Without a key and without downloads it contacts no server: what it scans stays on this
    # machine.
    "checkov": PythonTool(
        "export BC_SKIP_MAPPING=TRUE ANSI_COLORS_DISABLED=1; unset BC_API_KEY PRISMA_API_URL\n"
        'exec "$here/venv/bin/python" -m checkov.main --skip-download'
    ),
    "compose": GoTool("."),
    "etcd": SharedGoTool("go.etcd.io/etcd/server/v3", module="kubernetes"),
    # Only for a machine without Go; Go finds its library relative to its executable.
    "go": PythonTool('exec "$here"/venv/lib/python3*/site-packages/go/bin/go'),
    "helm": GoTool("helm.sh/helm/v4/cmd/helm"),
    # The Kubernetes version it renders for when there is no cluster to ask.
    "helm3": StampedGoTool(
        "helm.sh/helm/v3/cmd/helm",
        stamped=tuple(
            f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
            for package in ("chartutil", "lint/rules")
            for part, number in (("Major", 1), ("Minor", 34))
        ),
    ),
    "keda": GoTool("github.com/kedacore/keda/v2/cmd/operator"),
    # What KEDA measures, as the API of metrics that autoscalers ask.
    "keda-adapter": SharedGoTool("github.com/kedacore/keda/v2/cmd/adapter", module="keda"),
    "kind": GoTool("sigs.k8s.io/kind"),
    # Its built-in Kustomize is the one used by `kubectl apply -k`.
    "kubectl": GoTool("k8s.io/kubernetes/cmd/kubectl"),
    "kube-apiserver": _of_kubernetes("k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": _of_kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": _of_kubernetes("k8s.io/kubernetes/cmd/kube-scheduler"),
    "kube-score": GoTool("github.com/zegl/kube-score/cmd/kube-score"),
    # Ours, on the packages of which the API server is made: its build finds them compiled.
    "kube-validate": SharedGoTool("./validate", module="kubernetes"),
    "kubeconform": GoTool("github.com/yannh/kubeconform/cmd/kubeconform"),
    "kustomize": GoTool("sigs.k8s.io/kustomize/kustomize/v5"),
    "kwok": BundledGoTool(
        "sigs.k8s.io/kwok/cmd/kwok",
        module="sigs.k8s.io/kwok",
        bundle="stages.yaml",
        files=STAGES,
    ),
    # A Python with Milvus Lite's engine: no binary of Milvus comes by a registry of packages.
    "milvus": PythonTool('exec "$here/venv/bin/python"'),
    # A Python with a small real model of embeddings, which a package brings along.
    "minilm": PythonTool('exec "$here/venv/bin/python"'),
    # A Python with clients of OpenAI's APIs: what they need goes its own way from what we need.
    "a2a-js": NodeTool("client.mjs"),
    "ag-ui": NodeTool("client.mjs"),
    "a2a-go": GoTool("."),
    "a2a-client": PythonTool('exec "$here/venv/bin/python"'),
    "openai-clients": PythonTool('exec "$here/venv/bin/python"'),
    # Of the OpenTelemetry Collector what our configurations name: its own distribution is not on the module proxy.
    "otelcol": GoTool("."),
    "prometheus-operator": GoTool(
        "github.com/prometheus-operator/prometheus-operator/cmd/operator"
    ),
    # What `usage` asks, and what measures agents that are scaled.
    "prometheus": GoTool("github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd"),
    # Without its service discoveries it builds in a quarter of the time; rules do not need them.
    "promtool": GoTool("github.com/prometheus/prometheus/cmd/promtool", "remove_all_sd"),
    # A Python with Qdrant's own models and engine: no binary of its server comes by a registry of packages.
    "qdrant": PythonTool('exec "$here/venv/bin/python"'),
    "registry": GoTool("github.com/distribution/distribution/v3/cmd/registry"),
    "restic": GoTool("github.com/restic/restic/cmd/restic"),
    # Its definitions are older than those of `schemas`, whose operator does not build from the proxy.
    "external-secrets": BundledGoTool(
        "github.com/external-secrets/external-secrets",
        module="github.com/external-secrets/external-secrets",
        bundle="crds.yaml",
        files=("config/crds/bases/*external-secrets.io_*.yaml",),
    ),
    "flux-crds": Definitions(
        ("github.com/fluxcd/helm-controller/api/v2", "github.com/fluxcd/source-controller/api/v1")
    ),
    "schemas": Schemas("flux-crds"),
    # Writes the locks of Python packages.
    "uv": PythonTool('exec "$here/venv/bin/uv"'),
    # Grafana's own types of dashboards.
    "dashboards": GoTool("."),
    "yaml2json": GoTool("."),
}

QUICK = (
    *("actionlint", "check-jsonschema", "compose", "helm", "kubeconform", "kustomize", "schemas"),
    *("uv", "yaml2json"),
)
SLOW = (
    *("a2a-client", "a2a-go", "argo", "checkov", "dashboards", "helm3", "kube-score"),
    "kube-validate",
    *("kubectl", "milvus", "minilm", "openai-clients", "otelcol", "prometheus", "promtool"),
    *("qdrant", "registry", "restic"),
    *(["a2a-js", "ag-ui"] if shutil.which("npm") else []),
)
"""Tools that take minutes to build: whoever runs `make test` for the first time need not wait for them."""
GROUPS = {"quick": QUICK, "tests": (*QUICK, *SLOW)}
"""What `make test` asks, and what `make test` and `make proofs` do."""


def where(name: str) -> Path:
    """Return the path of a tool, installed or not: a file to run, or the folder of schemas."""
    folder = TARGET / f"{name}-{_key(name)}"
    return folder if isinstance(RECIPES[name], Schemas | Definitions) else folder / name


def command_for(name: str) -> str:
    """Return the command that installs a tool, for messages."""
    return f"python3 tools/install.py {name}"


def install(name: str) -> Path:
    """Return the path of a tool, after building it if its pins have changed.

    A tool on PATH with the pinned version is linked instead, as long as it keeps that version.
    """
    folder = TARGET / f"{name}-{_key(name)}"
    if folder.exists() and not where(name).is_symlink():
        return where(name)
    with _locked(name):
        if folder.is_symlink():  # to a place that is gone
            folder.unlink()
        if where(name).is_symlink() and not _is_pinned(name, where(name)):
            shutil.rmtree(folder)
        if not folder.exists() and not _link(name, folder):
            _build(name, folder)
    return where(name)


def _link(name: str, folder: Path) -> bool:
    """Link the tool on PATH if it has the pinned version; report which one is used."""
    place, version = found.on_path(name)
    if not place:
        return False
    wanted = found.pinned(name, SOURCE / name)
    if version != wanted:
        saying = version or "no version"
        print(f"{name}: {place} says {saying}, {wanted} is pinned: building it", file=sys.stderr)
        return False
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.building-", dir=TARGET))
    unfinished.chmod(0o755)
    (unfinished / name).symlink_to(Path(place).absolute())
    unfinished.rename(folder)
    print(f"{name}: using {place}, which is {version} as pinned", file=sys.stderr)
    return True


def _is_pinned(name: str, place: Path) -> bool:
    return found.version(name, place) == found.pinned(name, SOURCE / name)


def _build(name: str, folder: Path) -> None:
    """Build next to the final folder and rename: the folder is always complete."""
    for left_over in TARGET.glob(f".{name}.building-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    print(f"{name}: building", file=sys.stderr)
    began = time.monotonic()
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.building-", dir=TARGET))
    unfinished.chmod(0o755)
    try:
        RECIPES[name].build(name, unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"{name}: built in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _key(name: str) -> str:
    """Hash everything that determines the build: the recipe, the pins and the type of machine."""
    recipe = RECIPES[name]
    digest = hashlib.sha256(f"{recipe} {sys.platform} {platform.machine()}".encode())
    if isinstance(recipe, Schemas):
        digest.update(_key(recipe.definitions).encode())
    folder = recipe.source(name) if isinstance(recipe, GoTool) else SOURCE / name
    folders = [folder]
    if isinstance(recipe, GoTool) and recipe.package.startswith("./"):
        folders.append(folder / recipe.package)
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"\n{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Let one process or thread at a time build a tool; the system releases the lock of a dead one."""
    TARGET.mkdir(exist_ok=True)
    with (TARGET / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go() -> str:
    """Return this machine's Go if it is new enough, else the pinned one."""
    here = shutil.which("go")
    if here:
        version = re.search(r"go(\d+)\.(\d+)", _run([here, "version"], env=_go_environment()))
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return here
    return str(install("go"))


def _go_environment() -> dict[str, str]:
    """Return an environment in which only the tool's folder determines the build."""
    foreign = {"GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT"}
    fixed = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return {key: value for key, value in os.environ.items() if key not in foreign} | fixed


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output; errors become InstallError."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise InstallError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def _outcome(build: Callable[[str], Path], name: str) -> Path | InstallError:
    """Return a failure as a value, so that it does not hide those of other tools."""
    try:
        return build(name)
    except (InstallError, locked.LockedError, OSError) as error:
        return InstallError(f"tools/install.py: {name}: {error}")


def _expanded(names: list[str]) -> list[str]:
    """Return names with each group's in its place."""
    return [one for name in names for one in GROUPS.get(name, (name,))]


def main() -> int:
    """Install the named tools and print the path of each, in the given order."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted(RECIPES)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"default: all of {known}; {' and '.join(GROUPS)} are groups",
    )
    names = _expanded(parser.parse_args().names) or [name for name in known if name != "go"]
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        parser.error(f"no such tool: {', '.join(unknown)} (known: {', '.join(known)})")
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        outcomes = list(pool.map(lambda name: _outcome(install, name), names))
    for outcome in outcomes:
        print(outcome, file=sys.stderr if isinstance(outcome, InstallError) else sys.stdout)
    return int(any(isinstance(outcome, InstallError) for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
