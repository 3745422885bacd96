"""The page of a fleet: who may see which agents there are, how it ends, and what is wrong with a fleet.json."""

import json
import signal
import subprocess
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

import pytest

from runtime.tests.process import COMMAND, FleetRuntime
from runtime.tests.servers import PATIENCE

KEY = "a-key-that-is-long-enough"
AGENT = {
    "name": "helper",
    "namespace": "demo",
    "title": "Helper",
    "description": "Helps.",
    "path": "/agents/helper/",
    "signIn": "none",
}


def ask(url: str, **headers: str) -> tuple[int, Message, bytes]:
    """Return status, headers and body of a GET."""
    asked = urllib.request.Request(
        url, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def keyed(folder: Any) -> dict[str, Any]:
    (folder / "key").write_text(KEY)
    return {"type": "apiKey", "keys": [{"name": "ann", "secret": {"file": str(folder / "key")}}]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    with FleetRuntime(folder, agents=[AGENT], auth=keyed(folder)) as running:
        yield running


def test_who_has_signed_in_sees_the_agents(page):
    status, headers, body = ask(f"{page.url}/agents.json", Authorization=f"Bearer {KEY}")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    row = {key: value for key, value in AGENT.items() if key != "signIn"} | {"sign_in": "none"}
    assert json.loads(body) == {"agents": [row]}


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {KEY}x"}])
def test_nobody_else_learns_which_agents_there_are(page, headers):
    status, _, body = ask(f"{page.url}/agents.json", **headers)
    assert status == 401
    assert b"helper" not in body


def test_the_page_itself_and_how_one_signs_in_are_public(page):
    status, headers, body = ask(f"{page.url}/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b"helper" not in body
    status, _, body = ask(f"{page.url}/ui.json")
    assert json.loads(body) == {"fleet": True, "namespace": "demo", "auth": {"type": "apiKey"}}


def test_it_is_no_agent(page):
    for path in ("/info", "/chat", "/sessions", "/agents/helper/", "/assets/../fleet.json"):
        assert ask(page.url + path, Authorization=f"Bearer {KEY}")[0] == 404, path


def test_an_issuer_may_be_asked_by_the_page_and_nobody_else(tmp_path):
    auth = {
        "type": "oidc",
        "issuer": "https://login.example/realms/acme",
        "audience": "agents",
        "jwksUrl": "https://login.example/keys",
        "clientId": "page",
    }
    with FleetRuntime(tmp_path, auth=auth) as running:
        policy = ask(f"{running.url}/")[1]["Content-Security-Policy"]
        assert "connect-src 'self' https://login.example;" in policy
        way = json.loads(ask(f"{running.url}/ui.json")[2])["auth"]
        assert (way["issuer"], way["clientId"]) == (auth["issuer"], "page")


def test_a_page_of_another_name_is_not_answered_where_nobody_signs_in(tmp_path):
    with FleetRuntime(tmp_path, agents=[AGENT]) as running:
        assert ask(f"{running.url}/agents.json", Host="evil.example")[0] == 421
        assert ask(f"{running.url}/agents.json")[0] == 200


def test_its_metrics_count_what_it_answers_and_its_probes_do_not(page):
    ask(f"{page.url}/")
    text = ask(page.metrics_url)[2].decode()
    assert 'page_build_info{page="fleet-page"' in text
    line = next(
        line
        for line in text.splitlines()
        if line.startswith("page_request_total") and '"/"' in line
    )
    assert float(line.split()[-1]) >= 1
    assert 'route="/health' not in text


def test_it_ends_when_it_is_told_to(tmp_path):
    with FleetRuntime(tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"contract": 2}, "$.contract: Input should be 1"),
    ({"typo": 1}, "$.typo: Extra inputs are not permitted"),
    ({"agents": [AGENT, AGENT]}, "two agents are at /agents/helper/"),
    *(
        ({"agents": [AGENT | {"path": path}]}, "$.agents[0].path")
        for path in (
            "javascript:alert(1)",
            "//evil.example/",
            "http://plain.example/",
            "/agents/helper",
            "/a b/",
            "https://user@evil.example/",
        )
    ),
]


@pytest.mark.parametrize(("change", "said"), MISTAKES, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_said_before_anything_is_served(tmp_path, change, said):
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps({**FleetRuntime.base, **change}))
    done = subprocess.run(
        [*COMMAND, "fleet", "--config", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_anybody_could_guess_is_refused(tmp_path):
    (tmp_path / "key").write_text("short")
    auth = {"type": "apiKey", "keys": [{"name": "a", "secret": {"file": str(tmp_path / "key")}}]}
    (tmp_path / "fleet.json").write_text(json.dumps({**FleetRuntime.base, "auth": auth}))
    done = subprocess.run(
        [*COMMAND, "fleet", "--config", str(tmp_path / "fleet.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, "the key has 5 characters" in done.stderr) == (1, True)
