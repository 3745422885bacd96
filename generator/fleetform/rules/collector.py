"""The OpenTelemetry Collector of an environment: exporters that could not work, and traces that pass it by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fleetform.addresses import is_self
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.collector import NAME, OPEN, PLACE, is_collector
from fleetform.resolve.hosts import destination, split
from fleetform.tree import TreePath, locate, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import TraceExporter
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with the collector of the environment, if it has one."""
    del uses
    given = fleet.environment.monitoring.collector
    if given is None:
        return
    yield from _passed_by(fleet)
    yield from _taken(fleet)
    names: set[str] = set()
    for number, exporter in enumerate(given.exporters):
        place = (*PLACE, "exporters", number)
        if exporter.name in names:
            said = f"two exporters are called `{exporter.name}`"
            yield _problem(fleet, (*place, "name"), "duplicate-name", said, "rename one")
        names.add(exporter.name)
        yield from _headers(fleet, place, exporter)
        yield from _endpoint(fleet, place, exporter)


def _problem(fleet: Fleet, path: TreePath, code: str, message: str, hint: str) -> Problem:
    return problem_at(fleet.environment_tree, path, code, message, hint=hint)


def _passed_by(fleet: Fleet) -> Iterator[Problem]:
    if fleet.environment.monitoring.otlp_endpoint:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "monitoring", "otlpEndpoint"),
            "contradiction",
            "traces go to `otlpEndpoint`, and pass the `collector` of the environment by",
            hint="remove it (`otlpEndpoint: null` if another layer sets it), and give the collector an exporter to there",
            key=True,
        )


def _taken(fleet: Fleet) -> Iterator[Problem]:
    """Yield specs that would be the same workload."""
    assert fleet.collector is not None
    for known in fleet.specs.values():
        other = known.get(fleet.collector.key)
        if other is not None and getattr(other.spec, "container", other) is not other:
            file = locate(other.tree, ("metadata", "name"))[0].file
            yield problem_at(
                fleet.environment_tree,
                PLACE,
                "duplicate-name",
                f"the collector and the {other.kind} `{NAME}` ({file}) would be the same workload",
                hint="set another `namespace` for the collector, or rename the other",
                key=True,
            )


def _headers(fleet: Fleet, place: TreePath, exporter: TraceExporter) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for field, names in (
        ("headers", exporter.headers),
        ("secretHeaders", exporter.secret_headers),
    ):
        for name in names:
            first = seen.setdefault(name.lower(), name)
            if first is not name:
                said = f"the header `{name}` is there as `{first}` already: names of headers have no case"
                hint = "remove one"
                yield _problem(fleet, (*place, field, name), "duplicate-name", said, hint)


def _endpoint(fleet: Fleet, place: TreePath, exporter: TraceExporter) -> Iterator[Problem]:
    path = (*place, "endpoint")
    host, port = split(exporter.endpoint)
    if not port:
        return  # reported with all URLs
    found = destination(fleet, fleet.environment.monitoring.collector.namespace, host, port)  # type: ignore[union-attr]
    to_itself = is_self(host) and ("TCP", port) in OPEN
    if to_itself or (found.workload is not None and is_collector(found.workload)):
        said = "the collector would send traces to itself, round and round"
        yield _problem(fleet, path, "contradiction", said, "name the backend that keeps them")
    parts = urlsplit(exporter.endpoint)
    if exporter.protocol == "grpc" and (parts.path.strip("/") or parts.query):
        said = "OTLP over gRPC has no path"
        yield _problem(fleet, path, "bad-url", said, "write host and port alone, or use `protocol: http`")  # fmt: skip
    elif parts.query:
        said = "the collector adds `/v1/traces` to the end, behind the query"
        hint = "write the URL without a query; what it says is mostly a header, too"
        yield _problem(fleet, path, "bad-url", said, hint)
    elif parts.path.rstrip("/").endswith("/v1/traces"):
        said = "`/v1/traces` is added by the collector"
        yield _problem(fleet, path, "bad-url", said, "write the URL without it")
    if exporter.ca_secret_ref is not None and parts.scheme.lower() == "http":
        said = "`caSecretRef` has no effect: there is no TLS over `http`"
        hint = "write `https`, or remove it"
        yield _problem(fleet, (*place, "caSecretRef"), "not-used", said, hint)
