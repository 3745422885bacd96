"""`fleetform pin` with a real registry, and with ones that want sign-in or answer wrongly."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from fleetform import registries
from tests.fleet import GOOD, fleetform, write
from tests.registry import push_index, running

pytestmark = pytest.mark.proof

DIGEST = f"sha256:{'c' * 64}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(autouse=True)
def _nobody_signed_in(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def environment(host: str) -> dict[str, str]:
    name = "environments/prod.yaml"
    return {name: GOOD[name].replace("images: {", f"images: {{registry: {host}/acme, ")}


def test_what_was_pinned_is_what_is_rendered(registry, tmp_path):
    digest = push_index(registry, "acme/fleetform/agent-runtime", "0.2.0", "one")
    write(tmp_path, {**GOOD, **environment(registry)})
    done = fleetform("pin", "fleetform/agent-runtime:0.2.0", "--env", "prod", cwd=tmp_path)
    assert (done.code, done.out) == (0, f"fleetform/agent-runtime:0.2.0@{digest}\n")
    assert fleetform("render", cwd=tmp_path).code == 0
    text = (tmp_path / "rendered/prod/default/helper.yaml").read_text()
    assert f'image: "{registry}/acme/fleetform/agent-runtime:0.2.0@{digest}"\n' in text
    again = fleetform("pin", "fleetform/agent-runtime:0.2.0", "--env", "prod", cwd=tmp_path)
    assert again.err == "environments/prod.yaml: unchanged\n"


def test_a_tag_that_moved_is_pinned_anew(registry, tmp_path):
    write(tmp_path, {**GOOD, **environment(registry)})
    for note in ("one", "two"):
        digest = push_index(registry, "acme/team/moving", "stable", note)
        done = fleetform(
            "pin", f"{registry}/acme/team/moving:stable", "--env", "prod", cwd=tmp_path
        )
        assert done.out == f"team/moving:stable@{digest}\n"
    assert (tmp_path / "environments/prod.yaml").read_text().count("sha256:") == 1


def test_every_image_that_has_no_digest_is_told_of_and_nothing_is_written(registry, tmp_path):
    push_index(registry, "acme/team/here", "1", "one")
    write(tmp_path, {**GOOD, **environment(registry)})
    before = (tmp_path / "environments/prod.yaml").read_bytes()
    words = ["team/here:1", "team/here:2", "team/gone:1", "team/here", "127.0.0.1:1/x:1"]
    done = fleetform("pin", *words, "--env", "prod", cwd=tmp_path)
    assert done.code == 1
    assert f"there is no image `{registry}/acme/team/here:2`" in done.err
    assert f"there is no image `{registry}/acme/team/gone:1`" in done.err
    assert "`team/here` is not an image with a tag" in done.err
    assert "127.0.0.1:1 cannot be reached" in done.err
    assert (tmp_path / "environments/prod.yaml").read_bytes() == before


class Server(ThreadingHTTPServer):
    """A registry that wants sign-in, and remembers what it was sent."""

    def __init__(self, challenge: str, **answers: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.challenge, self.answers = challenge, answers
        self.seen: list[tuple[str, str]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        given = self.headers.get("Authorization", "")
        self.server.seen.append((self.path, given))
        body = b""
        if self.path.startswith("/token"):
            self.send_response(200 if given != "Basic d3Jvbmc6d3Jvbmc=" else 401)
            body = b'{"access_token": "abc"}'
        elif not given:
            self.send_response(401)
            challenge = self.server.challenge.format(host=self.server.host)
            self.send_header("WWW-Authenticate", challenge)
        elif given in ("Bearer abc", "Basic YTpi"):
            self.send_response(200)
            body = self.server.answers.get("body", "").encode()
            if digest := self.server.answers.get("digest"):
                self.send_header("Docker-Content-Digest", digest)
        else:
            self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


BEARER = 'Bearer realm="http://{host}/token",service="r",scope="repository:x:pull"'


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(challenge: str, **answers: str) -> Server:
        server = Server(challenge, **answers)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def signed_in(folder, host: str, account: str) -> None:
    auth = base64.b64encode(account.encode()).decode()
    write(folder, {"docker/config.json": json.dumps({"auths": {host: {"auth": auth}}})})


def ask(server: Server) -> str:
    return registries.digest(registries.parse(f"{server.host}/x:1"))


def test_a_token_is_fetched_where_the_registry_says(serve):
    server = serve(BEARER, digest=DIGEST)
    assert ask(server) == DIGEST
    assert server.seen[1] == ("/token?service=r&scope=repository%3Ax%3Apull", "")
    assert server.seen[2][1] == "Bearer abc"


@pytest.mark.parametrize("challenge", [BEARER, 'Basic realm="r"'], ids=["bearer", "basic"])
def test_the_account_of_docker_login_is_used(challenge, serve, tmp_path):
    server = serve(challenge, digest=DIGEST)
    signed_in(tmp_path, server.host, "a:b")
    assert ask(server) == DIGEST
    assert "Basic YTpi" in {given for _, given in server.seen}


def test_without_the_header_the_digest_is_that_of_the_manifest(serve):
    assert ask(serve(BEARER, body="{}")) == (
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


@pytest.mark.parametrize(
    ("challenge", "account", "said"),
    [
        (BEARER, "wrong:wrong", "refuses access to `x`"),
        ('Basic realm="r"', "", "refuses access to `x`"),
        ('Bearer realm="http://example.com/token"', "a:b", "wants sign-in without TLS"),
        ('Bearer realm="file:///etc/passwd"', "a:b", "wants sign-in without TLS"),
        ("", "", "refuses access to `x`"),
    ],
)
def test_a_refusal_says_what_to_do(challenge, account, said, serve, tmp_path):
    server = serve(challenge, digest=DIGEST)
    signed_in(tmp_path, server.host, account)
    with pytest.raises(registries.RegistryError, match=said) as caught:
        ask(server)
    assert caught.value.hint


@pytest.mark.parametrize("digest", ["sha256:short", "md5:abc", "x" * 100])
def test_what_is_no_digest_is_not_written(digest, serve):
    with pytest.raises(registries.RegistryError, match="tells no digest"):
        ask(serve(BEARER, digest=digest))


def test_a_credential_helper_is_asked(serve, tmp_path, monkeypatch):
    helper = tmp_path / "bin/docker-credential-test"
    write(
        tmp_path,
        {"bin/docker-credential-test": '#!/bin/sh\necho \'{"Username": "a", "Secret": "b"}\'\n'},
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
    server = serve('Basic realm="r"', digest=DIGEST)
    write(tmp_path, {"docker/config.json": json.dumps({"credHelpers": {server.host: "test"}})})
    assert ask(server) == DIGEST


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("redis:7", ("docker.io", "library/redis", "7")),
        ("team/agent:1", ("docker.io", "team/agent", "1")),
        ("ghcr.io/acme/a/b:1", ("ghcr.io", "acme/a/b", "1")),
        ("localhost/a:1", ("localhost", "a", "1")),
        ("host:5000/a:1", ("host:5000", "a", "1")),
        ("docker.io/redis:7", ("docker.io", "library/redis", "7")),
    ],
)
def test_the_parts_of_a_reference(text, parts):
    assert registries.parse(text) == parts


@pytest.mark.parametrize("text", ["redis", "host:5000/a", "", ":1"])
def test_a_reference_without_a_tag_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        registries.parse(text)
