"""The three kinds of workloads: how the plan of each begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform import view
from fleetform.plan import config, pods, stores, traffic
from fleetform.plan.draft import Draft
from fleetform.problems import Problem
from fleetform.resolve.ports import Port, ports
from fleetform.resolve.references import Uses
from fleetform.rules.resources import MARGIN, PRE_STOP

if TYPE_CHECKING:
    from fleetform.models.workload import Container
    from fleetform.resolve import Fleet, Resolved

RUNTIME_PATHS = ("/health/startup", "/health/ready", "/health")
MAX_CONFIG_BYTES = 1 << 20


def agent(fleet: Fleet, resolved: Resolved, uses: Uses, problems: list[Problem]) -> Draft:
    """Start the plan of an agent."""
    draft = Draft(resolved, resolved.spec, "agent")
    if resolved.spec.container is None:
        _generic(fleet, draft, uses, problems)
    else:
        _own_image(fleet, draft, resolved.spec.container, problems)
    traffic.agent(fleet, draft, uses, problems)
    draft.headless = bool(resolved.spec.peers)
    return draft


def server(fleet: Fleet, resolved: Resolved, problems: list[Problem]) -> Draft:
    """Start the plan of a deployed MCP server."""
    draft = Draft(resolved, resolved.spec, "mcp-server")
    _own_image(fleet, draft, resolved.spec.container, problems)
    traffic.common(fleet, draft, problems)
    return draft


def store(fleet: Fleet, resolved: Resolved, problems: list[Problem]) -> Draft:
    """Start the plan of a memory store that the environment provisions for development."""
    provision = resolved.spec.provision
    draft = Draft(resolved, stores.workload(resolved), "memory-store", scalable=False)
    _own_image(
        fleet,
        draft,
        stores.container(resolved),
        problems,
        provision=True,
    )
    draft.env = (*stores.env(resolved), *pods.env(provision.env))
    draft.args = tuple(stores.args(resolved))
    traffic.common(fleet, draft, problems)
    return draft


def _generic(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    resolved, spec = draft.resolved, draft.resolved.spec
    draft.image = pods.image(
        fleet,
        resolved,
        view.make("Agent", "Image", {"repository": fleet.environment.images.runtime}),
        ("spec",),
        problems,
    )
    draft.ports = tuple(ports(resolved))
    turn = spec.limits.turn_timeout_seconds
    draft.grace = PRE_STOP + turn + MARGIN
    draft.args = ("serve", "--config", f"{config.DIRECTORY}/agent.json")
    draft.env = tuple(pods.env(spec.env))
    check = spec.health_check
    paths = (
        check.startup_path or RUNTIME_PATHS[0],
        check.readiness_path or RUNTIME_PATHS[1],
        check.path or RUNTIME_PATHS[2],
    )
    draft.probes = pods.probes(check, paths, "http")
    draft.config = config.agent_config(fleet, resolved, uses, draft.secrets, turn)
    _check_size(draft, problems)
    _mounts(draft)


def _own_image(
    fleet: Fleet,
    draft: Draft,
    container: Container,
    problems: list[Problem],
    *,
    provision: bool = False,
) -> None:
    resolved, spec = draft.resolved, draft.workload
    root = (
        ("spec", "provision", "container", "image") if provision else ("spec", "container", "image")
    )
    draft.image = pods.image(fleet, resolved, container.image, root, problems)
    draft.pull_policy = container.image.pull_policy or ""
    draft.command = tuple(container.command or ())
    draft.args = tuple(pods.escape(word) for word in container.args or ())
    draft.working_dir = container.working_dir or ""
    draft.ports = tuple(ports(resolved))
    draft.env = tuple(pods.env(spec.env))
    check = spec.health_check
    live = check.path or ""
    paths = (check.startup_path or live, check.readiness_path or live, live)
    draft.probes = pods.probes(check, paths, _probe_port(check.port, draft.ports))
    draft.grace = PRE_STOP + 30 if draft.ports else 30
    if container.config_files:
        draft.config = config.revision(
            resolved.name, dict(sorted(container.config_files.items())), container.config_dir
        )
        _check_size(draft, problems)
    _mounts(draft)


def _probe_port(number: int | None, known: tuple[Port, ...]) -> str | int:
    """Return the probes' port by name where it has one."""
    tcp = [port for port in known if port.protocol == "TCP"]
    if number is not None:
        return next((port.name for port in tcp if port.container_port == number), number)
    return next((port.name for port in tcp if port.name == "http"), tcp[0].name if tcp else "")


def _mounts(draft: Draft) -> None:
    """Mount what the spec asks for; the pod's builder sees to scratch space and the like."""
    found, mounts = pods.volumes(draft.workload.volumes, stateful=draft.workload.stateful)
    draft.volumes += found
    draft.mounts += mounts


def _check_size(draft: Draft, problems: list[Problem]) -> None:
    if draft.config is None:
        return
    size = sum(len(key.encode()) + len(text.encode()) for key, text in draft.config.data.items())
    if size > MAX_CONFIG_BYTES:
        problems.append(
            draft.resolved.problem(
                ("spec",),
                "config-too-big",
                f"the configuration has {size} bytes, a ConfigMap holds 1 MiB",
                hint="shorten the prompt, or move reference text into a tool",
                key=True,
            )
        )
