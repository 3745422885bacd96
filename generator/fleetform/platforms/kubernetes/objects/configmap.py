"""ConfigMap: one immutable revision of a workload's configuration, named after its content."""

from __future__ import annotations

from fleetform import contract
from fleetform.plan.settings import MARGIN, PROMPT
from fleetform.platforms.kubernetes.bind.config import document_of
from fleetform.platforms.kubernetes.lens import Values, less
from fleetform.platforms.kubernetes.model import Config, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the revision; pods of older revisions keep theirs, since it is never pruned."""
    config = plan.config
    if config is None:
        return ()
    return (
        workload_object(
            plan,
            "v1",
            "ConfigMap",
            config.name,
            {**plan.retained, **plan.verbatim},
            immutable=True,
            data=dict(config.data),
        ),
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `config`, or the files that an image reads instead."""
    del default
    config = plan.config
    settings = document_of(config.settings) if config else {}
    return {
        "config": _settings(plan, settings),
        "prompt": config.data[PROMPT] if config and settings else "",
        "configFiles": _files(config, settings) if config else {},
        "configDir": config.directory if config else contract.FOLDER,
    }


def _files(config: Config, settings: Values) -> dict[str, str]:
    """Return the files that the chart does not write by itself: all but those of the generic runtime."""
    written = (contract.SETTINGS, PROMPT) if settings else ()
    return {name: text for name, text in config.data.items() if name not in written}


def _settings(plan: WorkloadPlan, settings: Values) -> Values:
    """Return agent.json without what the chart fills in itself."""
    ports = {port.name: port.container_port for port in plan.ports}
    server = {
        "port": ports.get("http"),
        "metricsPort": ports.get("metrics"),
        "shutdownGraceSeconds": max(0, plan.grace - plan.pre_stop - MARGIN),
    }
    filled = {
        "contract": contract.VERSION,
        "agent": {"name": plan.name, "namespace": plan.namespace},
        "prompt": {"system": {"file": PROMPT}},
        "server": server,
    }
    found: Values = {}
    for key, value in settings.items():
        known = filled.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            rest = less(value, known)
            if rest:
                found[key] = rest
        elif value != known:
            found[key] = value
    return found
