"""kube-score's verdict on objects, with the checks that we keep in another way and how."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.tools import run

SKIPPED = {
    "container-ephemeral-storage-request-and-limit": "roots are read-only and scratch volumes have a size",
    "container-image-pull-policy": "images are pinned, so an image that is there is the right one",
    "pod-probes-identical": "an image of one's own may have one path; the generic runtime has three",
}
"""Checks that are left out, each with its reason and a test of its own in test_kube_score.py."""
CRITICAL = 1


@dataclass(frozen=True)
class Verdict:
    """How many objects were read, how many checks were made, and what is critical."""

    scanned: int
    checked: int
    critical: list[str]


def judge(files: Iterable[Path]) -> Verdict:
    """Score all objects of some files together: policies and budgets count for the pods that they select."""
    skipped = [word for name in SKIPPED for word in ("--ignore-test", name)]
    options = ["--output-format", "json", "--disable-ignore-checks-annotations", *skipped]
    done = run("kube-score", "score", *options, *files)
    rows = json.loads(done.stdout)
    checks = [(row, check) for row in rows for check in row["checks"] or () if not check["skipped"]]
    critical = [
        f"{check['check']['id']}: {row['object_name']}"
        for row, check in checks
        if check["grade"] == CRITICAL
    ]
    return Verdict(len(rows), len(checks), critical)
