"""The page at `GET /`: its files, its fence, and what anybody may know before signing in."""

import gzip
import re
from pathlib import Path

import pytest

from fleetform_runtime.http import ui
from runtime.tests.harness import Reply, serving

pytestmark = pytest.mark.anyio

ON = {"host": "127.0.0.1", "ui": True}
OIDC = {
    "type": "oidc",
    "issuer": "https://login.example/realms/acme",
    "audience": "agents",
    "jwksUrl": "https://login.example/keys",
}


def assets(reply: Reply) -> list[str]:
    return re.findall(r'(?:src|href)="\./(assets/[^"]+)"', reply.body.decode())


async def test_the_page_and_its_files_are_there_without_signing_in():
    async with serving(server=ON) as client:
        page = await client.get("/")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-cache"
        files = assets(page)
        assert {Path(name).suffix for name in files} == {".js", ".css"}
        for name in files:
            reply = await client.get(f"/{name}")
            assert reply.status == 200
            assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert reply.body == (ui.FOLDER / name).read_bytes()


async def test_without_the_setting_there_is_no_page():
    async with serving() as client:
        for path in ("/", "/ui.json", "/assets/index.js"):
            assert (await client.get(path)).status == 404


async def test_a_page_of_another_name_is_not_shown_to_a_browser_that_was_led_here():
    """DNS rebinding: `/` follows the rule of the API."""
    async with serving(server=ON) as client:
        name = assets(await client.get("/"))[0]
        for path in ("/", f"/{name}", "/ui.json", "/info"):
            reply = await client.get(path, headers={"Host": "evil.example"})
            assert (reply.status, reply.json["code"]) == (421, "misdirected")
            assert (await client.get(path, headers={"Host": "localhost:1"})).status == 200


async def test_a_client_that_has_a_file_is_not_sent_it_again():
    async with serving(server=ON) as client:
        page = await client.get("/")
        for path in ("/", f"/{assets(page)[0]}"):
            tag = (await client.get(path)).headers["ETag"]
            again = await client.get(path, headers={"If-None-Match": f'"x", {tag}'})
            assert (again.status, again.body) == (304, b"")
            assert again.headers["ETag"] == tag
            other = await client.get(path, headers={"If-None-Match": '"other"'})
            assert other.status == 200
            head = await client.ask("HEAD", path)
            assert (head.status, head.body, head.headers["ETag"]) == (200, b"", tag)


async def test_who_takes_gzip_gets_it():
    async with serving(server=ON) as client:
        (name, *_) = assets(await client.get("/"))
        plain = await client.get(f"/{name}", headers={"Accept-Encoding": "identity"})
        packed = await client.get(f"/{name}", headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.body == plain.body  # the client unpacks it
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../agent.json",
        "/assets/%2e%2e/agent.json",
        "/assets/..%2fagent.json",
        "/assets/",
        "/assets/a/b",
        "/assets/index.html",
        "/assets/%00",
        "/index.html",
    ],
)
async def test_nothing_else_is_there(path):
    async with serving(server=ON) as client:
        reply = await client.get(path)
        assert reply.status in (400, 404), reply.body


async def test_the_fence_lets_nothing_out_and_nobody_in():
    async with serving(server=ON) as client:
        page = await client.get("/")
        for reply in (page, await client.get(f"/{assets(page)[0]}")):
            fence = dict(
                part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; ")
            )
            assert fence == {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "img-src": "'self' data: blob:",
                "connect-src": "'self'",
                "manifest-src": "'self'",
                "base-uri": "'none'",
                "form-action": "'none'",
                "frame-ancestors": "'none'",
                "require-trusted-types-for": "'script'",
                "trusted-types": "'none'",
            }
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert reply.headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=()"


def test_the_issuer_of_tokens_is_the_only_other_place_that_may_be_asked():
    assert "connect-src 'self' https://login.example;" in ui.policy(
        "https://login.example/realms/x"
    )


@pytest.mark.parametrize(
    ("auth", "way"),
    [
        ({"type": "none"}, {"type": "none"}),
        (OIDC, {"type": "oidc", "issuer": OIDC["issuer"]}),
        (
            OIDC | {"clientId": "page"},
            {"type": "oidc", "issuer": OIDC["issuer"], "clientId": "page", "scopes": ["openid"]},
        ),
    ],
)
async def test_anybody_may_know_how_to_sign_in_and_what_the_agent_is_called(auth, way):
    async with serving(server=ON, auth=auth) as client:
        reply = await client.get("/ui.json")
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.json == {
            "agent": "greeter",
            "namespace": "demo",
            "title": "greeter",
            "auth": way,
        }
        assert (await client.get("/")).status == 200


def test_the_bundle_is_small_and_asks_nobody():
    """Its sources are in `ui/`; `make ui` builds it, and CI holds it to the byte."""
    (script,) = (ui.FOLDER / "assets").glob("*.js")
    (style,) = (ui.FOLDER / "assets").glob("*.css")
    assert len(gzip.compress(script.read_bytes(), 9)) <= 45_000
    assert len(gzip.compress(style.read_bytes(), 9)) <= 5_000
    text = script.read_text("utf-8")
    assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {
        *("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML"),
        *("http://www.w3.org/1999/xlink", "http://www.w3.org/XML/1998/namespace", "https://github.com/markedjs/marked."),
        "http://",  # before an address that begins with www.
    }  # fmt: skip
    assert not re.search(r"\beval\(|new Function|document\.write", text)
