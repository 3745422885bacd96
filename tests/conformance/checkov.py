"""Checkov's verdict on a folder; it skips files in silence, so that its count is half of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.tools import run

from .rendered import Object

CONFIGURATION = Path(__file__).with_name("checkov.yaml")

# Checkov counts the pod inside each of these as a resource of its own.
POD_OWNERS = {"DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"}


@dataclass(frozen=True)
class Verdict:
    """How many resources checkov read, and what it holds against which."""

    scanned: int
    passed: int
    failed: list[str]


def judge(folder: Path) -> Verdict:
    """Scan the Kubernetes objects in all YAML files of a folder."""
    options = ["--framework", "kubernetes", "--output", "json", "--config-file", CONFIGURATION]
    done = run("checkov", *options, "--directory", folder)
    assert done.returncode in {0, 1}, done
    report = json.loads(done.stdout)
    if "results" not in report:  # it read nothing at all
        return Verdict(0, 0, [])
    results, summary = report["results"], report["summary"]
    failed = [
        f"{check['check_id']} {check['check_name']}: {check['file_path']} {check['resource']}"
        for check in results["failed_checks"]
    ]
    unread = [f"cannot parse {file}" for file in results["parsing_errors"]]
    return Verdict(summary["resource_count"], summary["passed"], failed + unread)


def resources(manifests: Iterable[Object]) -> int:
    """Return what checkov should count: every object, and the pod inside a workload."""
    return sum(2 if manifest["kind"] in POD_OWNERS else 1 for manifest in manifests)
