"""The verdict of Kubernetes' own code on objects: defaults, validation and the rules of CRDs, without a server."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fleetform import emit
from tests.tools import run, tool

Object = dict[str, Any]


class Verdict(NamedTuple):
    """What an API server says of one object."""

    apiVersion: str  # noqa: N815 - as the tool writes it
    kind: str
    name: str
    errors: list[str]
    """Why it is refused; empty if it is taken."""
    warnings: list[str]
    """What whoever applies it gets to read."""
    defaults: list[str]
    """Fields that the definition of a custom resource adds: a drift for who compares with what is stored."""


def judge(text: str, definitions: Path | None = None) -> list[Verdict]:
    """Return a verdict on each document of a YAML text, in their order; `definitions`: other CRDs than ours."""
    done = run("kube-validate", definitions or tool("schemas") / "crds", text=text)
    assert done.returncode == 0, done.stderr
    return [Verdict(**json.loads(line)) for line in done.stdout.splitlines()]


def judge_objects(objects: Iterable[Object]) -> list[Verdict]:
    """Return a verdict on each object, as we write it."""
    return judge(emit.emit_all([*objects]))


def complaints(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a line for all that is wrong: refused, warned of, or completed by the server."""
    return [f"{item.kind} {item.name}: {line}" for item in verdicts for line in _lines(item)]


def _lines(verdict: Verdict) -> Iterator[str]:
    yield from verdict.errors
    yield from (f"warning: {text}" for text in verdict.warnings)
    yield from (f"default not written: {text}" for text in verdict.defaults)


EXPECTED = (
    # External Secrets before 1.0 refuses both as unknown: Argo CD is told to compare on the server instead.
    "default not written: spec.provider.gcpsm.secretVersionSelectionPolicy:",
    "default not written: spec.provider.azurekv.useAzureSDK:",
    # An API server allocates it before it validates, which these programs do not.
    "spec.healthCheckNodePort: Required value",
    # The finalizer is Argo CD's own, and has no other name.
    'warning: metadata.finalizers: "resources-finalizer.argocd.argoproj.io":',
)
"""What is said of our output and left so, each with its reason."""


def unexpected(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the complaints that have no reason."""
    return [line for line in complaints(verdicts) if not any(part in line for part in EXPECTED)]
