"""Promtool on the rules inside PrometheusRules: their expressions, and the alerts' unit tests."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from tests.tools import run

from .rendered import Object


def rule_objects(manifests: Iterable[Object]) -> list[Object]:
    """Return the PrometheusRules."""
    return [manifest for manifest in manifests if manifest["kind"] == "PrometheusRule"]


def rules(manifest: Object) -> Iterator[Object]:
    """Yield every rule of every group."""
    for group in manifest["spec"]["groups"]:
        yield from group["rules"]


def write_groups(manifest: Object, file: Path) -> Path:
    """Write the groups of a PrometheusRule as the file that Prometheus itself would read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    groups = {"groups": manifest["spec"]["groups"]}
    file.write_text(yaml.safe_dump(groups, allow_unicode=True), "utf-8")
    return file


def check(file: Path) -> tuple[int, str]:
    """Return how many rules promtool accepts in a file, and its complaints."""
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", file)
    found = re.search(r"SUCCESS: (\d+) rules found", done.stdout)
    if done.returncode or not found:
        return 0, done.stdout + done.stderr
    return int(found[1]), done.stderr


def unit_test(file: Path) -> str:
    """Return the complaints of a unit test; a pattern that names no rules is one."""
    for pattern in yaml.safe_load(file.read_text("utf-8"))["rule_files"]:
        if not any(file.parent.glob(pattern)):
            return f"{file.name}: rule_files: {pattern} matches no file"
    done = run("promtool", "test", "rules", file)
    return done.stdout + done.stderr if done.returncode else ""
