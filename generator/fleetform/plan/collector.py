"""The OpenTelemetry Collector: what it is configured to take, and where it sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import quantity
from fleetform.plan import containers, settings, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.model import Files, SecretPath, SecretRef, Variable
from fleetform.plan.present import present
from fleetform.resolve import hosts
from fleetform.resolve.collector import GRPC, HEALTH, HTTP, METRICS, RECEIVED
from fleetform.resolve.ports import ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.models.environment import TraceExporter
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet

COMPONENT = "collector"
FOLDER, FILE = "/etc/otelcol", "collector.json"
LIMIT, SPIKE = 80, 20
"""Percent of its memory at which it refuses, and what may come between two looks."""
GO_MEMORY = 80
"""Percent of its memory above which Go collects garbage all the time, rather than be killed."""
KEPT = 2_000
"""Batches that wait for a backend that is away; more are refused, and counted."""


def drafts(fleet: Fleet, problems: list[Problem]) -> Iterator[Draft]:
    """Yield the plan of the collector, if the environment asks for one."""
    resolved, given = fleet.collector, fleet.environment.monitoring.collector
    if resolved is None or given is None:
        return
    draft = Draft(resolved, resolved.spec, COMPONENT)
    draft.image = containers.image(fleet, resolved, given.image, ("spec", "image"), problems)
    draft.bare = True
    draft.ports = tuple(ports(resolved))
    draft.args = (f"--config={FOLDER}/{FILE}",)
    draft.drain = settings.DRAIN
    draft.checks = containers.checks(resolved.spec.health_check, ("/", "/", "/"), HEALTH.name)
    draft.env = (Variable("GOMEMLIMIT", _memory(resolved.spec)), *_secrets(given.exporters))
    draft.files = Files(FOLDER, {}, _settings(fleet, given.exporters), FILE)
    traffic.common(fleet, draft, problems)
    for number, exporter in enumerate(given.exporters):
        place = ("spec", "exporters", number, "endpoint")
        problems += traffic.to_url(fleet, draft, resolved, exporter.endpoint, place)
    yield draft


def _memory(spec: Any) -> str:
    limit = containers.compute(spec.resources, containers.DEFAULT).limits["memory"]
    return f"{quantity.parse(limit) * GO_MEMORY // 100 // (1 << 20)}MiB"


def _variable(exporter: int, header: int) -> str:
    return f"EXPORTER_{exporter}_HEADER_{header}"


def _secrets(exporters: list[TraceExporter]) -> Iterator[Variable]:
    for number, exporter in enumerate(exporters):
        for place, (_, ref) in enumerate(sorted(exporter.secret_headers.items())):
            yield Variable(_variable(number, place), SecretRef(ref.name, ref.key))


def _settings(fleet: Fleet, exporters: list[TraceExporter]) -> dict[str, Any]:
    """Return the configuration: in the collector's own keys, and its own order of processors."""
    named = {
        f"{_TYPES[exporter.protocol]}/{exporter.name}": _exporter(fleet, number, exporter)
        for number, exporter in enumerate(exporters)
    }
    pull = {
        "host": "",  # every address, of both families
        "port": METRICS.container_port,
        "without_scope_info": True,
        "without_units": True,
    }
    return {
        "extensions": {"health_check": {"endpoint": f":{HEALTH.container_port}"}},
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f":{GRPC.container_port}"},
                    "http": {"endpoint": f":{HTTP.container_port}"},
                }
            }
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": LIMIT,
                "spike_limit_percentage": SPIKE,
            },
            "batch": {"send_batch_size": 512, "send_batch_max_size": 1024, "timeout": "2s"},
        },
        "exporters": named,
        "service": {
            "extensions": ["health_check"],
            "pipelines": {
                "traces": {
                    "receivers": [RECEIVED],
                    # What is refused must not have been taken into a batch.
                    "processors": ["memory_limiter", "batch"],
                    "exporters": list(named),
                }
            },
            "telemetry": {
                "logs": {"encoding": "json"},
                "metrics": {"readers": [{"pull": {"exporter": {"prometheus": pull}}}]},
            },
        },
    }


_TYPES = {"http": "otlp_http", "grpc": "otlp_grpc"}
"""The collector's own names of the protocols."""


def _exporter(fleet: Fleet, number: int, exporter: TraceExporter) -> dict[str, Any]:
    space = fleet.environment.monitoring.collector.namespace  # type: ignore[union-attr]
    secret = {
        name: f"${{env:{_variable(number, place)}}}"
        for place, name in enumerate(sorted(exporter.secret_headers))
    }
    fixed = {name: value.replace("$", "$$") for name, value in exporter.headers.items()}
    ca = exporter.ca_secret_ref
    return present(
        endpoint=hosts.rewritten(fleet, space, exporter.endpoint.replace("$", "$$")),
        headers=dict(sorted({**fixed, **secret}.items())),
        tls={"ca_file": SecretPath(ca.name, ca.key)} if ca else None,
        sending_queue={"queue_size": KEPT},
    )
