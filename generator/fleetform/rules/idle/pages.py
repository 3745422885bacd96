"""Fields of the page of a fleet that mean nothing to it: it has neither roles nor users of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.rules.idle.fields import Field, given

if TYPE_CHECKING:
    from fleetform.resolve import Fleet
    from fleetform.rules import AgentUses
    from fleetform.tree import TreePath


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield what only agents make something of."""
    del uses
    page = fleet.page
    if page is None:
        return
    base: TreePath = ("spec", "auth", "oidc")
    why = "the page shows everybody the same agents"
    yield from given(page, base, ("rolesClaim",), why, "remove it")
    auth = page.spec.auth
    for number, _ in enumerate(auth.api_key.keys if auth.api_key else ()):
        place: TreePath = ("spec", "auth", "apiKey", "keys", number)
        yield from given(page, place, ("onBehalf",), why, "remove it")
    signs_in = auth.oidc is not None and auth.oidc.client_id is not None
    why = "" if signs_in else "without a `clientId` nobody signs in there"
    yield from given(page, base, ("scopes",), why, "set `clientId`, or remove it")
