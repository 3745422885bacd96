"""MCP servers over stdio: containers of the agents that use them, joined by named pipes (docs/adr/0017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import contract
from fleetform.plan import containers
from fleetform.plan.model import Extra, Mount, Scratch, Volume
from fleetform.resolve.references import Uses, beside, container_of

if TYPE_CHECKING:
    from fleetform.plan.draft import Draft
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved

SPACE = Scratch("1Mi", "Memory")
"""For pipes, which take none; in memory, where sandboxes share them, too."""
TMP = "/tmp"  # noqa: S108 - the container's own


def folder(name: str) -> str:
    """Return where both containers mount the pipes of a server, by the name that the agent has for it."""
    return f"{contract.PIPES}/{name}"


def add(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    """Add a container and its volumes for each server over stdio that an agent uses."""
    for name, server in beside(uses):
        if server.spec.container is None:
            continue  # a Problem has been said
        draft.beside += (_container(fleet, name, server, problems),)
        volume = container_of(name)
        draft.volumes += (
            Volume(volume, SPACE),
            Volume(f"{volume}-tmp", Scratch(containers.SCRATCH_SIZE)),
        )
        draft.mounts += (Mount(volume, folder(name)),)


def _container(fleet: Fleet, name: str, server: Resolved[Any], problems: list[Problem]) -> Extra:
    spec, volume = server.spec, container_of(name)
    container = spec.container
    place = ("spec", "container", "image")
    image, _ = containers.image(fleet, server, container.image, place, problems)
    return Extra(
        volume,
        image,
        container.image.pull_policy or fleet.environment.images.pull_policy or "",
        (*contract.BESIDE, folder(name)),
        (*(container.command or ()), *(container.args or ())),
        (),
        tuple(containers.env(spec.env)),
        containers.compute(spec.resources, containers.DEFAULT),
        # It opens the pipes, and can put nothing in their place.
        (Mount(volume, folder(name), read_only=True), Mount(f"{volume}-tmp", TMP)),
        tuple(containers.env_from(spec.env_from)),
        stays=True,
        working_dir=container.working_dir or "",
    )
