"""The page of a fleet at the root of the shared host: a process that knows where agents are, and calls none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import contract, view
from fleetform.plan import containers, settings, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.exposure import hosts_of, path_of
from fleetform.plan.model import Files, Port
from fleetform.plan.present import present
from fleetform.resolve.pages import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved

COMPONENT = "fleet-page"
CONFIG = "fleet.json"


def drafts(fleet: Fleet, problems: list[Problem]) -> Iterator[Draft]:
    """Yield the plan of the page, if the environment asks for one."""
    page = fleet.page
    if page is None:
        return
    draft = Draft(page, page.spec, COMPONENT)
    runtime = view.make("Agent", "Image", {"repository": fleet.environment.images.runtime})
    draft.image = containers.image(fleet, page, runtime, ("spec",), problems)
    draft.ports = (
        Port("http", contract.HTTP_PORT, contract.HTTP_PORT, "TCP", "http"),
        Port("metrics", contract.METRICS_PORT, contract.METRICS_PORT, "TCP", "http"),
    )
    draft.args = ("fleet", "--config", f"{contract.FOLDER}/{CONFIG}")
    draft.checks = containers.checks(page.spec.health_check, contract.PROBES, "http")
    draft.probe = contract.PROBE
    draft.drain = settings.DRAIN
    draft.files = Files(contract.FOLDER, {}, _settings(fleet, page), CONFIG)
    if page.spec.auth.oidc is not None:
        place = ("spec", "auth", "oidc", "issuer")
        problems += traffic.to_url(fleet, draft, page, page.spec.auth.oidc.issuer, place)
    yield draft


def _settings(fleet: Fleet, page: Resolved[Any]) -> dict[str, Any]:
    """Return `fleet.json` as data: only explicit decisions, none of the runtime's own defaults."""
    given = fleet.environment.expose.page
    return {
        "contract": contract.VERSION,
        "page": present(
            name=page.name,
            namespace=fleet.target_namespace(page.namespace),
            title=given.title if given else None,
        ),
        "agents": [_entry(fleet, page, agent) for agent in listed(fleet)],
        "auth": settings.auth(page.spec.auth),
        "server": {"port": contract.HTTP_PORT, "metricsPort": contract.METRICS_PORT},
    }


def _entry(fleet: Fleet, page: Resolved[Any], agent: Resolved[Any]) -> dict[str, Any]:
    spec, host = agent.spec, hosts_of(fleet, agent)[0]
    here = host == fleet.environment.expose.host
    way = _sign_in(page, agent) if here else "own"
    return present(
        name=agent.name,
        namespace=fleet.target_namespace(agent.namespace),
        title=spec.display_name or agent.name,
        description=spec.description,
        path=f"{'' if here else f'https://{host}'}{path_of(agent).rstrip('/')}/",
        signIn=None if way == "own" else way,
    )


def _sign_in(page: Resolved[Any], agent: Resolved[Any]) -> str:
    """Return how one signs in at an agent: not at all, with what one has shown at the page, or in a way of its own.

    A token is for an audience: where issuer and audience are the same, nobody learns by it what was not meant for it.
    """
    own, given = agent.spec.auth, page.spec.auth
    if own is None or own.type == "none":
        return "none"
    if own.oidc is None or given.oidc is None:
        return "own"
    same = own.oidc.issuer == given.oidc.issuer and own.oidc.audience == given.oidc.audience
    return "shared" if same else "own"
