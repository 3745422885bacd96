"""The page at `GET /`: files that are read once, and what anybody may know before signing in.

The files are built from `ui/` at the top of the repository. Whatever an agent, a tool or a document says, the page's
policy lets no request leave this origin but to the issuer at which people sign in.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Handler, Route
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.sections.access import Auth, OidcAuth

FOLDER = Path(__file__).parents[1] / "ui"
ENTRY = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_FOREVER = "public, max-age=31536000, immutable"
"""Of files whose names change with their content."""
_FENCE = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def policy(issuer: str = "") -> str:
    """Return the page's Content-Security-Policy; the issuer's origin is where a sign-in is traded for a token."""
    parts = urlsplit(issuer)
    to_issuer = f" {parts.scheme}://{parts.netloc}" if issuer else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            f"connect-src 'self'{to_issuer}",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


@dataclass
class _File:
    body: bytes
    headers: dict[str, str]

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.body, mtime=0)

    def answer(self, request: Request) -> Response:
        """Return the file, or that the client has it already."""
        headers = {**self.headers, "Vary": "Accept-Encoding"}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, headers={**headers, "Content-Encoding": "gzip"})
        return Response(self.body, headers=headers)


class Page:
    """Answers with the page's files."""

    def __init__(self, folder: Path, issuer: str = "") -> None:
        fence = {**_FENCE, "Content-Security-Policy": policy(issuer)}
        self._entry = _file(folder / ENTRY, "no-cache", fence)
        self._assets = {
            path.name: _file(path, _FOREVER, fence)
            for path in sorted((folder / "assets").iterdir())
        }

    async def entry(self, request: Request) -> Response:
        """Return the page."""
        return self._entry.answer(request)

    async def asset(self, request: Request) -> Response:
        """Return a file of the page; names are looked up, never opened."""
        found = self._assets.get(request.path_params["file"])
        if found is None:
            raise HttpProblem("not_found", "the page has no such file: load it anew")
        return found.answer(request)


def _file(path: Path, cache: str, fence: dict[str, str]) -> _File:
    body = path.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"Content-Type": _TYPES[path.suffix], "Cache-Control": cache, "ETag": f'"{tag}"'}
    return _File(body, {**headers, **fence})


def way_in(auth: Auth) -> dict[str, Any]:
    """Return how one signs in, as far as everybody may know it."""
    way: dict[str, Any] = {"type": auth.type}
    if isinstance(auth, OidcAuth):
        way["issuer"] = auth.issuer
        if auth.client_id is not None:
            way |= {"clientId": auth.client_id, "scopes": list(auth.scopes)}
    return way


def issuer_of(auth: Auth) -> str:
    """Return the issuer at which the page itself signs people in, empty if it does not."""
    return auth.issuer if isinstance(auth, OidcAuth) and auth.client_id else ""


def routes(auth: Auth, known: dict[str, Any]) -> tuple[Route, ...]:
    """Return the routes of the page, and of what it shows before anybody has signed in: `known`, and how one signs in."""
    page = Page(FOLDER, issuer_of(auth))
    door = {**known, "auth": way_in(auth)}

    async def show(_: Request) -> Json:
        return Json(door)

    rows: tuple[tuple[str, Handler, str], ...] = (
        ("/", page.entry, "Show the page"),
        ("/assets/{file}", page.asset, "Show a file of the page"),
        ("/ui.json", show, "Show how to sign in"),
    )
    return tuple(Route("GET", path, answer, public=True, summary=why) for path, answer, why in rows)


def mount(parts: Parts) -> Mounted:
    """Mount the page, if the agent has one."""
    agent = parts.settings.agent
    if not parts.settings.server.ui:
        return Mounted(())
    known = {
        "agent": agent.name,
        "namespace": agent.namespace,
        "title": agent.display_name or agent.name,
    }
    return Mounted(routes(parts.settings.auth, known))
