"""Check that every lock is closed: whatever a locked package requires is locked too, in a matching version.

python tools/closure.py

Extras and markers are considered, including extras that other packages ask for, for every Python
from 3.11 on and every platform that a marker names. Metadata comes from requirements/graph.json,
which `make lock` writes, and is compared with what is installed. No network is used. Exits with 1
if a lock is not closed.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from lock import GRAPH, LOCKS, ROOT, Lock, Pin, pins
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

OLDEST, NEWEST = 11, 16
"""Minor versions of Python 3 that are looked at; markers add the patch versions that they name."""
SYSTEMS = {
    "linux": ("posix", "Linux"),
    "darwin": ("posix", "Darwin"),
    "win32": ("nt", "Windows"),
    "cygwin": ("posix", "CYGWIN_NT"),
    "emscripten": ("posix", "Emscripten"),
    "freebsd14": ("posix", "FreeBSD"),
}
IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
_COMPARED = re.compile(r"""(\w+) *(?:===|[<>=!~]=|<|>|not +in|in) *["']([^"']*)["']""")
_VERSION = re.compile(r"3\.\d+(?:\.\d+)?$")

Environment = dict[str, str]
Mask = int
"""A set of environments, one bit each."""


@dataclass(frozen=True)
class Package:
    """The metadata of one version, or one of our pyproject.toml files."""

    python: str
    extras: frozenset[str]
    requires: tuple[Requirement, ...]


class Environments:
    """All combinations that the markers can distinguish."""

    def __init__(self, markers: Iterable[str]) -> None:
        compared = [pair for marker in markers for pair in _COMPARED.findall(marker)]
        machines = {value for name, value in compared if name == "platform_machine"}
        systems = SYSTEMS | {
            value: ("posix", value.capitalize())
            for name, value in compared
            if name == "sys_platform" and value not in SYSTEMS
        }
        versions = sorted(_versions(compared), key=Version)
        self.all = [
            {
                "python_version": ".".join(version.split(".")[:2]),
                "python_full_version": version,
                "implementation_version": version,
                "sys_platform": system,
                "os_name": systems[system][0],
                "platform_system": systems[system][1],
                "platform_machine": machine,
                "implementation_name": implementation,
                "platform_python_implementation": IMPLEMENTATIONS[implementation],
                "platform_release": "",
                "platform_version": "",
            }
            for version, system, machine, implementation in itertools.product(
                versions, systems, sorted(machines | {"riscv64"}), IMPLEMENTATIONS
            )
        ]
        self.every: Mask = (1 << len(self.all)) - 1
        self._known: dict[tuple[str, str], Mask] = {}

    def where(self, marker: Marker | str | None, extra: str = "") -> Mask:
        """Return the environments in which a marker holds while an extra is requested."""
        text = str(marker or "")
        if not text:
            return self.every
        if (text, extra) not in self._known:
            self._known[text, extra] = self._evaluated(Marker(text), extra)
        return self._known[text, extra]

    def _evaluated(self, marker: Marker, extra: str) -> Mask:
        used = [name for name in self.all[0] if re.search(rf"\b{name}\b", str(marker))]
        answers: dict[tuple[str, ...], bool] = {}
        mask = 0
        for number, environment in enumerate(self.all):
            values = tuple(environment[name] for name in used)
            if values not in answers:
                answers[values] = marker.evaluate({**environment, "extra": extra})
            mask |= answers[values] << number
        return mask

    def supports(self, specifier: str) -> Mask:
        """Return the environments whose Python matches a Requires-Python."""
        if not specifier:
            return self.every
        allowed = SpecifierSet(specifier)
        holds = {name: name in allowed for name in {e["python_full_version"] for e in self.all}}
        return sum(holds[e["python_full_version"]] << n for n, e in enumerate(self.all))

    def example(self, mask: Mask) -> str:
        """Return a name for one environment of a set."""
        found = self.all[(mask & -mask).bit_length() - 1]
        shown = ("python_full_version", "implementation_name", "sys_platform", "platform_machine")
        return " ".join(found[name] for name in shown)


def _versions(compared: Iterable[tuple[str, str]]) -> set[str]:
    """Return Python versions on both sides of each one that a marker names."""
    found = {f"3.{minor}.{patch}" for minor in range(OLDEST, NEWEST + 1) for patch in (0, 99)}
    for name, value in compared:
        if name in ("python_full_version", "implementation_version") and _VERSION.match(value):
            minor, patch = int(value.split(".")[1]), int((*value.split("."), "0")[2])
            found |= {f"3.{minor}.{near}" for near in (patch - 1, patch, patch + 1) if near >= 0}
    return {version for version in found if int(version.split(".")[1]) >= OLDEST}


@dataclass(frozen=True)
class Closure:
    """One lock together with the metadata of its packages."""

    lock: Lock
    pins: tuple[Pin, ...]
    graph: Mapping[str, Package]
    roots: tuple[Package, ...]

    @cached_property
    def environments(self) -> Environments:
        """Return the environments that the markers of this lock distinguish."""
        packages = [self.graph[pin.key] for pin in self.pins if pin.key in self.graph]
        requires = [r for package in (*packages, *self.roots) for r in package.requires]
        return Environments(
            [*(pin.marker for pin in self.pins), *(str(r.marker) for r in requires)]
        )

    def problems(self) -> Iterator[str]:
        """Yield everything that is missing, with its place in the lock."""
        yield from self._own_problems()
        extras = frozenset(self.lock.extras)
        for root in self.roots:
            for extra in ("", *sorted(extras)):
                yield from self._open(root, self.lock.path, extra, self.environments.every)
        for (pin, extra), mask in self._asked().items():
            place = f"{self.lock.path}:{pin.line}: {pin.key}" + (f"[{extra}]" if extra else "")
            package = self.graph[pin.key]
            if extra and extra not in package.extras:
                yield f"{place} has no such extra"
            yield from self._open(package, place, extra, mask)

    def _own_problems(self) -> Iterator[str]:
        seen: dict[str, Mask] = {}
        for pin in self.pins:
            place, mask = f"{self.lock.path}:{pin.line}: {pin.key}", self._where(pin)
            if not pin.hashes:
                yield f"{place} has no hash"
            if seen.get(pin.name, 0) & mask:
                yield f"{place} is locked twice"
            seen[pin.name] = seen.get(pin.name, 0) | mask
            if pin.key not in self.graph:
                yield f"{place} is not in {GRAPH.name}: run `make lock`"
            elif gap := mask & ~self.environments.supports(self.graph[pin.key].python):
                wanted = self.graph[pin.key].python
                yield f"{place} is for Python {wanted}, not for {self.environments.example(gap)}"

    def _where(self, pin: Pin) -> Mask:
        return self.environments.where(pin.marker)

    def _asked(self) -> dict[tuple[Pin, str], Mask]:
        """Return every package and extra that is requested, and where: extras request extras."""
        asked: dict[tuple[Pin, str], Mask] = {}
        waiting = [((pin, ""), self._where(pin)) for pin in self.pins if pin.key in self.graph] + [
            found
            for root in self.roots
            for extra in ("", *self.lock.extras)
            for found in self._asks(root, extra, self.environments.every)
        ]
        while waiting:
            key, mask = waiting.pop()
            if mask & ~asked.get(key, 0):
                asked[key] = asked.get(key, 0) | mask
                waiting += self._asks(self.graph[key[0].key], key[1], mask)
        return asked

    def _asks(
        self, package: Package, extra: str, mask: Mask
    ) -> Iterator[tuple[tuple[Pin, str], Mask]]:
        for needed, where in self._needed(package, extra, mask):
            for pin in self._named(needed):
                for wanted in needed.extras:
                    yield (pin, canonicalize_name(wanted)), where & self._where(pin)

    def _needed(
        self, package: Package, extra: str, mask: Mask
    ) -> Iterator[tuple[Requirement, Mask]]:
        for requirement in package.requires:
            where = mask & self.environments.where(requirement.marker, extra)
            if extra:  # what holds without it is asked for by the package itself
                where &= ~self.environments.where(requirement.marker)
            if where:
                yield requirement, where

    def _named(self, requirement: Requirement) -> list[Pin]:
        name = canonicalize_name(requirement.name)
        return [pin for pin in self.pins if pin.name == name and pin.key in self.graph]

    def _open(self, package: Package, place: str, extra: str, mask: Mask) -> Iterator[str]:
        for requirement, where in self._needed(package, extra, mask):
            if requirement.url:
                yield f"{place} requires an address: {requirement}"
                continue
            taken = [p for p in self._named(requirement) if _takes(requirement, p.version)]
            gap = where & ~_union(self._where(pin) for pin in taken)
            if gap:
                has = ", ".join(pin.key for pin in self._named(requirement)) or "nothing"
                where_to = self.environments.example(gap)
                yield f"{place} requires {requirement}: locked is {has} (for {where_to})"


def _takes(requirement: Requirement, version: str) -> bool:
    return requirement.specifier.contains(Version(version), prereleases=True)


def _union(masks: Iterable[Mask]) -> Mask:
    made = 0
    for mask in masks:
        made |= mask
    return made


def package(entry: Mapping[str, Any]) -> Package:
    """Return the package of an entry in the graph."""
    return Package(
        entry["python"],
        frozenset(canonicalize_name(extra) for extra in entry["extras"]),
        tuple(map(Requirement, entry["requires"])),
    )


def root_packages(lock: Lock, folder: Path = ROOT) -> tuple[Package, ...]:
    """Return the sources of a lock, as if each were a package."""
    found = []
    for source in lock.sources:
        text = (folder / source).read_text("utf-8")
        if source.endswith(".toml"):
            found.append(_project(tomllib.loads(text)["project"]))
        else:
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            found.append(Package("", frozenset(), tuple(map(Requirement, lines))))
    if lock.pins:
        found.append(Package("", frozenset(), tuple(map(Requirement, lock.pins))))
    return tuple(found)


def _project(project: dict[str, Any]) -> Package:
    """Return one of our projects; an extra that refers to other extras of its own stands for them."""
    optional: dict[str, list[str]] = project.get("optional-dependencies", {})
    requires = list(map(Requirement, project.get("dependencies", ())))
    for extra in optional:
        for text in _expanded(extra, optional, project["name"]):
            requirement = Requirement(text)
            held = f"({requirement.marker}) and " if requirement.marker else ""
            requirement.marker = Marker(f"{held}extra == '{extra}'")
            requires.append(requirement)
    return Package(project.get("requires-python", ""), frozenset(optional), tuple(requires))


def _expanded(extra: str, optional: dict[str, list[str]], own: str) -> Iterator[str]:
    for text in optional[extra]:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == canonicalize_name(own):
            for other in sorted(requirement.extras):
                yield from _expanded(other, optional, own)
        else:
            yield text


def outside(lock: Lock, inner: Iterable[Pin], outer: Iterable[Pin]) -> Iterator[str]:
    """Yield the packages of a lock that its surrounding lock lacks, or has in another version or file."""
    inner, outer = list(inner), list(outer)
    environments = Environments(pin.marker for pin in (*inner, *outer))
    for pin in inner:
        same = [other for other in outer if other.key == pin.key]
        gap = environments.where(pin.marker) & ~_union(environments.where(p.marker) for p in same)
        if gap:
            has = ", ".join(other.key for other in outer if other.name == pin.name) or "nothing"
            yield f"{lock.path}:{pin.line}: {pin.key} is not in {lock.within}, which has {has}"


def unlike(graph: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield the packages installed in a folder whose metadata differ from the record."""
    for found in distributions(path=[str(folder)]):
        key = f"{canonicalize_name(found.name)}=={found.version}"
        says = {
            "python": next(iter(found.metadata.get_all("Requires-Python") or ()), ""),
            "extras": sorted(found.metadata.get_all("Provides-Extra") or ()),
            "requires": sorted(found.metadata.get_all("Requires-Dist") or ()),
        }
        if key in graph and _meaning(says) != _meaning(graph[key]):
            yield f"{folder}: {key} says other than {GRAPH.name}: remove its entry and run `make lock`"


def _meaning(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return metadata without differences in spelling."""
    read = package(entry)
    return str(SpecifierSet(read.python)), read.extras, sorted(map(str, read.requires))


def check(folder: Path, installed: Iterable[Path]) -> list[str]:
    """Return all that is wrong with the locks below a folder."""
    graph = json.loads((folder / GRAPH.relative_to(ROOT)).read_text("utf-8"))
    packages = {key: package(entry) for key, entry in graph.items()}
    held = {lock.path: tuple(pins((folder / lock.path).read_text("utf-8"))) for lock in LOCKS}
    found: list[str] = []
    for lock in LOCKS:
        roots = root_packages(lock, folder)
        found += Closure(lock, held[lock.path], packages, roots).problems()
        if lock.within:
            found += outside(lock, held[lock.path], held[lock.within])
    named = {pin.key for some in held.values() for pin in some}
    found += [
        f"{GRAPH.name}: {key} is in no lock: run `make lock`" for key in graph if key not in named
    ]
    for place in installed:
        found += unlike(graph, place)
    return found


def main() -> int:
    """Print what is missing."""
    here = [Path(place) for place in sys.path if place.endswith("site-packages")]
    tools = sorted((ROOT / ".tools").glob("*/venv/lib/python3*/site-packages"))
    found = check(ROOT, [*here, *tools])
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print(f"{len(found)} problems: the locks are not closed", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
