"""The three kinds of workloads: how the plan of each starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import contract, kinds, view
from fleetform.plan import beside, containers, settings, stores, tools, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.model import Files
from fleetform.problems import Problem
from fleetform.resolve.ports import Port, ports
from fleetform.resolve.references import Uses
from fleetform.resolve.waits import longest

if TYPE_CHECKING:
    from fleetform.models.workload import Container
    from fleetform.resolve import Fleet, Resolved


def agent(fleet: Fleet, resolved: Resolved[Any], uses: Uses, problems: list[Problem]) -> Draft:
    """Start the plan of an agent."""
    draft = _draft(resolved, resolved.spec)
    if resolved.spec.container is None:
        _generic(fleet, draft, uses, problems)
        beside.add(fleet, draft, uses, problems)
    else:
        _own_image(fleet, draft, resolved.spec.container, problems)
    traffic.agent(fleet, draft, uses, problems)
    draft.by_name = bool(resolved.spec.peers)
    return draft


def server(fleet: Fleet, resolved: Resolved[Any], problems: list[Problem]) -> Draft:
    """Start the plan of a deployed MCP server."""
    draft = _draft(resolved, resolved.spec)
    _own_image(fleet, draft, resolved.spec.container, problems)
    traffic.common(fleet, draft, problems)
    return draft


def store(fleet: Fleet, resolved: Resolved[Any], problems: list[Problem]) -> Draft:
    """Start the plan of a memory store that the environment provisions for development."""
    problems += stores.clashes(resolved)
    draft = _draft(resolved, stores.workload(resolved))
    draft.scalable = False
    place = ("spec", "provision", "container", "image")
    _own_image(fleet, draft, stores.container(resolved), problems, place)
    draft.env = (*stores.env(resolved), *containers.env(resolved.spec.provision.env))
    draft.args = stores.args(resolved)
    if resolved.spec.provision.container is None:
        stock = stores.STORES[resolved.spec.type]
        draft.probe, draft.owner = stock.probe, stock.owner
        own = not draft.args or str(draft.args[0]).startswith("-")
        draft.program = stock.program if own else ""
    traffic.common(fleet, draft, problems)
    return draft


def _draft(resolved: Resolved[Any], workload: Any) -> Draft:
    return Draft(resolved, workload, kinds.BY_NAME[resolved.kind].component)


def _generic(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    resolved, spec = draft.resolved, draft.resolved.spec
    draft.image = containers.image(
        fleet,
        resolved,
        view.make("Agent", "Image", {"repository": fleet.environment.images.runtime}),
        ("spec",),
        problems,
    )
    draft.ports = tuple(ports(resolved))
    draft.turn = spec.limits.turn_timeout_seconds
    draft.drain = longest(spec.limits) + settings.MARGIN
    draft.args = ("serve", "--config", f"{contract.FOLDER}/{contract.SETTINGS}")
    draft.env = tuple(containers.env(spec.env))
    check = spec.health_check
    startup, ready, alive = contract.PROBES
    paths = (
        check.startup_path or startup,
        check.readiness_path or ready,
        check.path or alive,
    )
    draft.checks = containers.checks(check, paths, "http")
    draft.probe = contract.PROBE
    problems += tools.roomy(resolved, uses)
    draft.sandbox = tools.sandbox(resolved, uses)
    draft.files = settings.files(fleet, resolved, uses)
    draft.volumes, draft.mounts = containers.volumes(draft.workload.volumes)


def _own_image(
    fleet: Fleet,
    draft: Draft,
    container: Container,
    problems: list[Problem],
    place: tuple[str, ...] = ("spec", "container", "image"),
) -> None:
    resolved, spec = draft.resolved, draft.workload
    draft.image = containers.image(fleet, resolved, container.image, place, problems)
    draft.pull_policy = container.image.pull_policy or ""
    draft.command = tuple(container.command or ())
    draft.args = tuple(container.args or ())
    draft.working_dir = container.working_dir or ""
    draft.ports = tuple(ports(resolved))
    draft.env = tuple(containers.env(spec.env))
    check = spec.health_check
    live = check.path or ""
    paths = (check.startup_path or live, check.readiness_path or live, live)
    draft.checks = containers.checks(check, paths, _check_port(check.port, draft.ports))
    draft.drain = settings.DRAIN
    if container.config_files:
        draft.files = Files(container.config_dir, dict(sorted(container.config_files.items())))
    draft.volumes, draft.mounts = containers.volumes(draft.workload.volumes)


def _check_port(number: int | None, known: tuple[Port, ...]) -> str | int:
    """Return the checks' port by name if it has one."""
    tcp = [port for port in known if port.protocol == "TCP"]
    if number is not None:
        return next((port.name for port in tcp if port.container_port == number), number)
    return next((port.name for port in tcp if port.name == "http"), tcp[0].name if tcp else "")
