"""A plan → the input of Compose targets: services, and the problems of running them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleetform.platforms.compose import networks, rules
from fleetform.platforms.compose.model import Build, Service
from fleetform.platforms.compose.services import Around, services
from fleetform.problems import Problem, errors

if TYPE_CHECKING:
    from fleetform.plan.model import Plan, Workload
    from fleetform.resolve import Fleet
    from fleetform.resolve.catalog import Key


def build(
    fleet: Fleet, plan: Plan, root: Fleet | None, *, sound: Callable[[], bool]
) -> tuple[Build | None, list[Problem]]:
    """Return the input of Compose targets, None if there are errors, and all problems.

    Compose has no bases, so `root` is ignored. A plan that is not `sound` is not built.
    """
    del root
    problems = [*rules.left_out(plan)]
    plan = plan._replace(
        workloads=tuple(item for item in plan.workloads if not rules.is_left_out(item))
    )
    problems += rules.problems(fleet, plan)
    if errors(problems) or not sound():
        return None, problems
    found = [
        service
        for workload, around in _surroundings(fleet, plan)
        for service in services(workload, around)
    ]
    ordered: tuple[Service, ...] = tuple(sorted(found, key=lambda service: service.name))
    return Build(fleet.environment_name, ordered), problems


def _surroundings(fleet: Fleet, plan: Plan) -> list[tuple[Workload, Around]]:
    published = _published(fleet, plan)
    connected = networks.of(plan, set(published))
    ports = {
        (item.name, item.namespace, port.service_port): port.container_port
        for item in plan.workloads
        for port in item.ports
    }
    called = plan.callees()
    return [
        (
            item,
            Around(
                ports,
                connected.get(item.key, ()),
                tuple(
                    networks.name(callee)
                    for callee in called.get(item.key, ())
                    if callee.component == "memory-store"
                ),
                published.get(item.key),
            ),
        )
        for item in plan.workloads
    ]


def _published(fleet: Fleet, plan: Plan) -> dict[Key, int]:
    """Return the host port of each published workload, 0 for any free one: all agents, and those in `compose.ports`."""
    given = fleet.environment.compose.ports
    found = {item.key: 0 for item in plan.workloads if item.component == "agent" or item.exposure}
    named = {f"{item.key[0]}/{item.name}": item.key for item in plan.workloads}
    return found | {named[name]: port for name, port in given.items() if name in named}
