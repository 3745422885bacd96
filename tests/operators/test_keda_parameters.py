"""The parameters of triggers that we take are those of KEDA's own sources."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from fleetform.platforms.kubernetes.rules.keda import KEDA_FIELDS, SIGN_IN_ONLY
from tests.tools import ROOT, installer

TAG = re.compile(r'^\s*\w+\s+\S+.*`keda:"([^"]*)"', re.MULTILINE)
FILES = {"cpu": "cpu_memory", "memory": "cpu_memory"}
"""Sources that are not called like their trigger."""
SIGNING_IN = "authentication/authentication_types.go"
SHARED = {
    "prometheus": SIGNING_IN,
    "metrics-api": SIGNING_IN,
    "rabbitmq": SIGNING_IN,
    "redis-streams": "redis_scaler.go",
    "gcp-pubsub": "gcp/gcp_common.go",
}
"""Where a trigger's other parameters are."""
LEFT_OUT = {
    "type", "queueLength", "subscriptionSize",  # removed or deprecated by KEDA itself
    "password", "apiKey", "credentials", "credentialsFromEnvFile",  # credentials are references
    "addresses", "hosts", "ports", "sentinelMaster", "sentinelUsername", "sentinelPassword",  # of Redis clusters
    "listName", "listLength", "activationListLength",  # of `redis`, beside which `redis-streams` stands
    "keyParamName", "method",  # RabbitMQ shares the type and reads only OAuth
}  # fmt: skip
TYPES = pytest.mark.parametrize("kind", sorted(KEDA_FIELDS))


class Parameter(NamedTuple):
    """A parameter as a scaler declares it."""

    names: tuple[str, ...]
    order: tuple[str, ...]
    is_required: bool


@cache
def sources() -> Path:
    """Return KEDA's sources, at the version that the operator is built of."""
    folder = ROOT / "tools/keda"
    command = [installer._go(), "mod", "download", "-json", "github.com/kedacore/keda/v2"]
    environment = installer._go_environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return Path(json.loads(done.stdout)["Dir"]) / "pkg/scalers"


def declared(file: str) -> list[Parameter]:
    return [
        _parameter(dict(_pairs(tag)))
        for tag in TAG.findall((sources() / file).read_text("utf-8"))
        if "name=" in tag
    ]


def _pairs(tag: str) -> list[tuple[str, str]]:
    cut = (part.strip().partition("=") for part in tag.split(","))
    return [(name, value) for name, _, value in cut]


def _parameter(given: dict[str, str]) -> Parameter:
    is_required = not given.keys() & {"optional", "default", "deprecated"}
    names, order = given["name"].split(";"), given.get("order", "").split(";")
    return Parameter(tuple(names), tuple(order), is_required)


def own(kind: str) -> list[Parameter]:
    return declared(f"{FILES.get(kind, kind.replace('-', '_'))}_scaler.go")


def readable(kind: str) -> set[str]:
    """Return what a trigger's metadata may hold."""
    found = set()
    for each in (*own(kind), *(declared(SHARED[kind]) if kind in SHARED else ())):
        if "triggerMetadata" in each.order:
            found |= {*each.names}
        if "resolvedEnv" in each.order:
            found |= {f"{name}FromEnv" for name in each.names}
    return found


def taken(kind: str) -> set[str]:
    fields = KEDA_FIELDS[kind]
    return {name for group in fields.required for name in group} | {*fields.optional}


@TYPES
def test_keda_reads_every_parameter_that_we_take(kind):
    only = {name for other, name in SIGN_IN_ONLY if other == kind}
    assert taken(kind) - readable(kind) == only


@TYPES
def test_we_take_every_parameter_that_keda_reads(kind):
    missing = readable(kind) - taken(kind)
    assert {name.removesuffix("FromEnv") for name in missing} <= LEFT_OUT


@TYPES
def test_what_keda_demands_we_demand(kind):
    demanded = {name for group in KEDA_FIELDS[kind].required for name in group}
    for each in own(kind):
        if each.is_required and not kind.startswith("redis"):
            assert demanded & {*each.names}, each
