"""Nobody gets in who should not, and nobody gets more than their share."""

import asyncio
import base64
import json
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetform_runtime.access.quotas import LocalCounters, Quotas
from fleetform_runtime.access.redis_counters import RedisCounters
from fleetform_runtime.messages import Assistant, Usage
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.metrics import Metrics
from runtime.tests.harness import BASE, Gated, Told, serving, until
from runtime.tests.stores import memory
from runtime.tests.upstreams import upstream

pytestmark = pytest.mark.anyio

KEYS = {
    "GATEWAY": "gateway-key-0123456789",
    "ANN": "ann-key-01234567890123",
    "BOB": "bob-key-01234567890123",
}
AUTH = {
    "type": "apiKey",
    "keys": [
        {"name": "gateway", "secret": {"env": "GATEWAY"}, "onBehalf": True},
        {"name": "ann", "secret": {"env": "ANN"}},
        {"name": "bob", "secret": {"env": "BOB"}},
    ],
}


def as_(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


PROTECTED = [
    ("POST", "/chat"), ("POST", "/agents/greeter/chat"), ("POST", "/v1/chat/completions"), ("POST", "/v1/responses"),
    ("GET", "/v1/models"), ("GET", "/sessions"), ("POST", "/sessions"), ("GET", "/sessions/x"),
    ("PATCH", "/sessions/x"), ("DELETE", "/sessions/x"), ("GET", "/sessions/x/messages"),
    ("GET", "/runs/x"), ("GET", "/runs/x/events"), ("POST", "/runs/x/cancel"),
    ("POST", "/runs/x/approvals"), ("GET", "/info"),
]  # fmt: skip


async def test_everything_but_probes_wants_a_key():
    async with serving(auth=AUTH, environment=KEYS) as client:
        for method, path in PROTECTED:
            reply = await client.ask(method, path, json={"message": "x"})
            assert (reply.status, reply.json["code"]) == (401, "unauthenticated"), path
            assert reply.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/health", "/healthz", "/readyz", "/health/startup", "/openapi.json"):
            assert (await client.get(path)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer ann-key-0123456789012"},
        {"Authorization": "Bearer ann-key-012345678901234"},
        {"Authorization": "Basic " + base64.b64encode(b"ann:ann-key-01234567890123").decode()},
        {"X-API-Key": ""},
        {"X-API-Key": "ann"},
        {"X-User-Id": "ann"},
        {"Cookie": "ann-key-01234567890123"},
        {"Authorization": "Bearer " + "x" * 20_000},
    ],
)
async def test_other_keys_open_nothing(headers):
    async with serving(auth=AUTH, environment=KEYS) as client:
        reply = await client.post("/chat", {"message": "x"}, headers=headers)
    assert reply.status == 401


async def test_keys_are_accepted_in_two_headers_and_users_kept_apart():
    async with serving(auth=AUTH, environment=KEYS) as client:
        client.headers = as_("ANN")
        session = (await client.chat("hello"))["session_id"]
        run = (await client.chat("again", session_id=session))["run_id"]
        client.headers = {"X-API-Key": KEYS["BOB"]}
        for method, path in (
            ("GET", f"/sessions/{session}"),
            ("GET", f"/sessions/{session}/messages"),
            ("DELETE", f"/sessions/{session}"),
            ("GET", f"/runs/{run}"),
            ("GET", f"/runs/{run}/events"),
            ("POST", f"/runs/{run}/cancel"),
        ):
            assert (await client.ask(method, path)).status == 404, path
        assert (await client.post("/chat", {"message": "x", "session_id": session})).status == 404
        assert (await client.get("/sessions")).json["total"] == 0


async def test_only_a_gateway_names_users():
    async with serving(auth=AUTH, environment=KEYS) as client:
        client.headers = as_("GATEWAY") | {"X-User-Id": "carol"}
        await client.chat("hello")
        assert (await client.get("/sessions")).json["total"] == 1
        client.headers = as_("GATEWAY")
        assert (await client.get("/sessions")).json["total"] == 0
        await client.chat("hello", user_id="carol")
        client.headers |= {"X-User-Id": "carol"}
        assert (await client.get("/sessions")).json["total"] == 2
        client.headers = as_("ANN") | {"X-User-Id": "carol"}
        await client.chat("hello", user_id="carol")
        assert (await client.get("/sessions")).json["total"] == 1
        client.headers = as_("BOB")
        assert (await client.get("/sessions")).json["total"] == 0
        client.headers = as_("GATEWAY") | {"X-User-Id": "x" * 300}
        assert (await client.get("/sessions")).status == 400


async def test_keys_change_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr("fleetform_runtime.secrets.RECHECK_SECONDS", 0)
    file = tmp_path / "key"
    file.write_text("first-key-0123456789")
    auth = {"type": "apiKey", "keys": [{"name": "a", "secret": {"file": str(file)}}]}
    async with serving(auth=auth) as client:
        first = {"X-API-Key": "first-key-0123456789"}
        second = {"X-API-Key": "second-key-0123456789"}
        assert (await client.get("/info", headers=first)).status == 200
        file.write_text("second-key-0123456789")
        assert (await client.get("/info", headers=second)).status == 200
        assert (await client.get("/info", headers=first)).status == 401


# -- OpenID Connect ------------------------------------------------------------------------------

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
NOW = int(time.time())


def jwk(key: Any, kid: str, **fields: Any) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.RSAAlgorithm
        if isinstance(key, rsa.RSAPrivateKey)
        else jwt.algorithms.ECAlgorithm
    )
    return json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"} | fields


def claims(**fields: Any) -> dict[str, Any]:
    made = {"iss": ISSUER, "aud": "agents", "sub": "ann", "exp": NOW + 600, "iat": NOW} | fields
    return {name: value for name, value in made.items() if value is not ...}


ISSUER = "https://issuer.example/realm"


def token(
    key: Any = RSA, algorithm: str = "RS256", kid: Any = "k1", head: Any = None, **fields: Any
) -> str:
    headers = ({"kid": kid} if kid else {}) | (head or {})
    return jwt.encode(claims(**fields), key, algorithm=algorithm, headers=headers)


def b64(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def hmac_token(key: bytes, algorithm: str = "HS256") -> str:
    import hashlib
    import hmac

    signing = b64({"alg": algorithm, "kid": "k1", "typ": "JWT"}) + "." + b64(claims())
    return signing + "." + b64(hmac.new(key, signing.encode(), hashlib.sha256).digest())


def forged() -> dict[str, str]:
    good = token()
    head, body, signature = good.split(".")
    return {
        "empty": "",
        "word": "x",
        "dots": "..",
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "four parts": good + ".x",
        "other signature": f"{head}.{body}.{b64(b'x' * 256)}",
        "signature of another": f"{head}.{body}.{token(OTHER).split('.')[2]}",
        "changed body": f"{head}.{b64(claims(sub='root'))}.{signature}",
        "changed head": f"{b64({'alg': 'RS256', 'kid': 'k1', 'x': 1})}.{body}.{signature}",
        "alg none": f"{b64({'alg': 'none', 'kid': 'k1'})}.{body}.",
        "alg None": f"{b64({'alg': 'None', 'kid': 'k1'})}.{body}.",
        "alg NONE": f"{b64({'alg': 'NONE'})}.{body}.",
        "alg missing": f"{b64({'kid': 'k1'})}.{body}.{signature}",
        "alg null": f"{b64({'alg': None, 'kid': 'k1'})}.{body}.{signature}",
        "alg list": f"{b64({'alg': ['RS256'], 'kid': 'k1'})}.{body}.{signature}",
        "alg empty": f"{b64({'alg': '', 'kid': 'k1'})}.{body}.{signature}",
        "alg unknown": f"{b64({'alg': 'RS999', 'kid': 'k1'})}.{body}.{signature}",
        "alg lower": f"{b64({'alg': 'rs256', 'kid': 'k1'})}.{body}.{signature}",
        "hmac with public pem": hmac_token(pem(RSA)),
        "hmac with modulus": hmac_token(jwk(RSA, "k1")["n"].encode()),
        "hmac with nothing": hmac_token(b""),
        "hmac with oct key of the set": hmac_token(b"shared-secret-shared-secret-1234"),
        "other key": token(OTHER),
        "other key, same kid": token(OTHER, kid="k1"),
        "other key, unknown kid": token(OTHER, kid="zz"),
        "kid path": token(OTHER, kid="../../dev/null"),
        "kid url": token(OTHER, kid="http://127.0.0.1/x"),
        "kid of another type": f"{b64({'alg': 'RS256', 'kid': 5})}.{body}.{signature}",
        "kid of an encryption key": token(OTHER, kid="enc"),
        "jwk in the head": token(OTHER, head={"jwk": jwk(OTHER, "k1")}),
        "jku in the head": token(OTHER, head={"jku": "http://127.0.0.1:1/keys"}),
        "x5c in the head": token(OTHER, head={"x5c": ["AAAA"]}),
        "crit in the head": token(head={"crit": ["exp"]}),
        "expired": token(exp=NOW - 3600),
        "expired by text": token(exp="never"),
        "no exp": token(exp=...),
        "not yet": token(nbf=NOW + 3600),
        "issued later": token(iat=NOW + 3600),
        "other issuer": token(iss="https://evil.example"),
        "issuer with slash": token(iss=ISSUER + "/"),
        "issuer as list": f"{head}.{b64(claims(iss=[ISSUER]))}.{signature}",
        "no issuer": token(iss=...),
        "other audience": token(aud="others"),
        "audience as prefix": token(aud="agents2"),
        "no audience": token(aud=...),
        "empty audience": token(aud=[]),
        "no sub": token(sub=...),
        "empty sub": token(sub=" "),
        "ES256 with RSA kid": token(EC, "ES256", kid="k1"),
        "RS256 with EC kid": token(OTHER, kid="e1"),
        "body no object": f"{head}.{b64([1])}.{signature}",
        "body no json": f"{head}.{b64(b'xx')}.{signature}",
        "head no json": f"{b64(b'xx')}.{body}.{signature}",
        "not base64": "!!.!!.!!",
        "too long": good + "A" * 20_000,
        "nested": f"{b64({'alg': 'RS256', 'cty': 'JWT'})}.{b64(good.encode())}.{signature}",
    }


class Issuer:
    def __init__(self) -> None:
        self.keys: list[Any] = [
            jwk(RSA, "k1", alg="RS256"),
            jwk(EC, "e1", alg="ES256"),
            jwk(OTHER, "enc", use="enc"),
            {
                "kty": "oct",
                "kid": "k1",
                "k": b64(b"shared-secret-shared-secret-1234"),
                "alg": "HS256",
            },
            {"kty": "RSA", "kid": "broken"},
            5,
        ]
        self.issuer = ISSUER
        self.asked = 0

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked += 1
        if request.path.endswith("openid-configuration"):
            return web.json_response(
                {"issuer": self.issuer, "jwks_uri": f"http://{request.host}/keys"}
            )
        return web.json_response({"keys": self.keys})


def oidc(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "oidc",
        "issuer": ISSUER,
        "audience": "agents",
        "jwksUrl": url + "/keys",
    } | fields


async def test_tokens_of_the_issuer_are_accepted():
    issuer = Issuer()
    async with upstream(issuer) as server, serving(auth=oidc(server.url)) as client:
        for good in (
            token(),
            token(EC, "ES256", kid="e1"),
            token(aud=["x", "agents"]),
            token(kid=None),
        ):
            reply = await client.get("/info", headers={"Authorization": f"Bearer {good}"})
            assert reply.status == 200, reply.body
    assert issuer.asked == 1


async def test_no_forged_token_is_accepted():
    tokens = forged()
    assert len(tokens) >= 40
    async with upstream(Issuer()) as server, serving(auth=oidc(server.url)) as client:
        for name, shown in tokens.items():
            reply = await client.get("/info", headers={"Authorization": f"Bearer {shown}"})
            assert reply.status in (401, 431), name
            if reply.status == 401:
                assert reply.json["code"] == "unauthenticated"


async def test_users_are_named_by_a_claim_and_scopes_are_wanted():
    async with upstream(Issuer()) as server:
        auth = oidc(server.url, userClaim="email", requiredScopes=["chat", "read"])
        async with serving(auth=auth) as client:
            cases = {
                token(email="a@x", scope="read chat more"): 200,
                token(email="a@x", scp=["chat", "read"]): 200,
                token(email="a@x", scope="read"): 403,
                token(email="a@x"): 403,
                token(scope="read chat"): 401,
                token(email=5, scope="read chat"): 401,
            }
            for shown, status in cases.items():
                reply = await client.get("/sessions", headers={"Authorization": f"Bearer {shown}"})
                assert reply.status == status


async def test_new_keys_are_found_and_an_issuer_that_is_away_lets_nobody_in(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.access.oidc.UNKNOWN_KEY_SECONDS", -1)
    issuer = Issuer()
    async with upstream(issuer) as server, serving(auth=oidc(server.url)) as client:
        head = {"Authorization": f"Bearer {token(OTHER, kid='k2')}"}
        assert (await client.get("/info", headers=head)).status == 401
        issuer.keys.append(jwk(OTHER, "k2"))

        async def is_let_in() -> bool:
            return (await client.get("/info", headers=head)).status == 200

        await until(is_let_in)
    async with serving(auth=oidc("http://127.0.0.1:1")) as client:
        reply = await client.get("/info", headers=head)
        assert reply.status == 503
        assert reply.headers["Retry-After"]


async def test_keys_are_found_by_discovery_of_the_same_issuer_only():
    issuer = Issuer()
    async with upstream(issuer) as server:
        auth = {"type": "oidc", "issuer": server.url, "audience": "agents"}
        head = {"Authorization": f"Bearer {token(iss=server.url)}"}
        async with serving(auth=auth) as client:
            assert (await client.get("/info", headers=head)).status == 503
        issuer.issuer = server.url
        async with serving(auth=auth) as client:
            assert (await client.get("/info", headers=head)).status == 200


# -- limits --------------------------------------------------------------------------------------


async def test_requests_per_minute_are_limited_for_agent_and_user():
    limits = {"requestsPerMinute": 5, "perUser": {"requestsPerMinute": 3}}
    async with serving(auth=AUTH, environment=KEYS, limits=limits) as client:
        codes = [
            (await client.post("/chat", {"message": "x"}, headers=as_(name))).status
            for name in ("ANN", "ANN", "ANN", "ANN", "BOB", "BOB", "BOB")
        ]
        assert codes == [200, 200, 200, 429, 200, 200, 429]
        refused = await client.post("/chat", {"message": "x"}, headers=as_("ANN"))
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json["retryable"] is True
        assert await client.metric("agent_rate_limited_total", limit="requests") == 3


async def test_tokens_and_cost_are_limited_behind_their_use():
    told = Told(Assistant("x", usage=Usage(900, 100)))
    model = {
        "provider": "openai",
        "name": "gpt",
        "pricing": {"inputPerMillion": 0, "outputPerMillion": 10_000},
    }
    async with serving(make=told, limits={"tokensPerMinute": 1500}) as client:
        codes = [(await client.post("/chat", {"message": "x"})).status for _ in range(3)]
        assert await client.metric("agent_rate_limited_total", limit="tokens") == 1
    assert codes == [200, 200, 429]
    async with serving(make=told, model=model, limits={"dailyCostUsd": 1.5}) as client:
        codes = [(await client.post("/chat", {"message": "x"})).status for _ in range(3)]
        assert await client.metric("agent_rate_limited_total", limit="cost") == 1
    assert codes == [200, 200, 429]


async def test_replicas_share_the_quota_through_redis(request, tmp_path):
    section = memory("redis", request, tmp_path)
    limits = {"requestsPerMinute": 4}
    async with (
        serving(memory=section, limits=limits) as one,
        serving(memory=section, limits=limits) as two,
    ):
        codes = [(await client.post("/chat", {"message": "x"})).status for client in (one, two) * 3]
    assert codes == [200] * 4 + [429] * 2


@pytest.mark.parametrize("backend", ["in-memory", "redis"])
async def test_exactly_as_many_are_admitted_at_once_as_a_quota_allows(backend, request, tmp_path):
    """Over replicas, whoever asks first, and nothing is counted of what another quota refuses."""
    section = memory(backend, request, tmp_path)
    limits = {"requestsPerMinute": 40, "perUser": {"requestsPerMinute": 5}, "dailyCostUsd": 1}
    settings = Settings.model_validate_json(
        json.dumps(BASE | {"limits": limits, "memory": section})
    )
    now, made = [1_000_020.0], LocalCounters(lambda: now[0])
    counters = [
        RedisCounters(settings.memory, Secrets(), "n", "a") if backend == "redis" else made
        for _ in range(3)
    ]
    replicas = [Quotas(settings.limits, one, Metrics("a"), lambda: now[0]) for one in counters]
    asked = [admitted(replicas[n % 3], f"u{n % 10}") for n in range(300)]
    assert (await asyncio.gather(*asked)).count(True) == 40
    now[0] += 120
    asked = [admitted(replicas[n % 3], "one") for n in range(60)]
    assert (await asyncio.gather(*asked)).count(True) == 5
    asked = [admitted(replicas[n % 3], f"v{n}") for n in range(60)]
    assert (await asyncio.gather(*asked)).count(True) == 35
    for one in counters:
        await one.close()


def quotas(now: list[float], **limits: Any) -> Quotas:
    read = Settings.model_validate_json(json.dumps(BASE | {"limits": limits}))
    return Quotas(read.limits, LocalCounters(lambda: now[0]), Metrics("a"), lambda: now[0])


async def admitted(quota: Quotas, user: str = "u") -> bool:
    try:
        await quota.admit(user)
    except HttpProblem:
        return False
    return True


async def test_minutes_slide():
    now = [120.0 + 59]
    quota = quotas(now, requestsPerMinute=10)
    assert [await admitted(quota) for _ in range(11)] == [True] * 10 + [False]
    now[0] += 2  # the next minute has begun, the last one still counts
    assert not await admitted(quota)
    now[0] += 30
    assert [await admitted(quota) for _ in range(7)].count(True) == 5
    now[0] += 120
    assert [await admitted(quota) for _ in range(11)].count(True) == 10


async def test_metrics_tell_a_budget_and_what_was_spent_of_it_today():
    """Of the agent's own budget alone, by what all replicas have spent, and nothing once the day is over."""
    now, shared = [1_000_000.0], LocalCounters(lambda: now[0])
    limits = {"dailyCostUsd": 10, "perUser": {"dailyCostUsd": 4}}
    read = Settings.model_validate_json(json.dumps(BASE | {"limits": limits}))
    told = [Metrics("a"), Metrics("a")]
    one, two = (Quotas(read.limits, shared, each, lambda: now[0]) for each in told)

    def shown(name: str) -> list[float | None]:
        return [each.registry.get_sample_value(name, {"agent": "a"}) for each in told]

    assert shown("agent_daily_budget_usd") == [10, 10]
    assert shown("agent_daily_cost_usd") == [0, 0]
    await one.spend("u", 10, 3.0)
    await two.spend("v", 10, 2.5)
    assert shown("agent_daily_cost_usd") == [3, 5.5]
    await two.spend("v", 10, 5.5)
    assert not await admitted(one, "w")
    assert shown("agent_daily_cost_usd") == [11, 11]
    now[0] += 86_400
    assert shown("agent_daily_cost_usd") == [0, 0]


async def test_clocks_that_jump_neither_lock_out_nor_crash():
    now = [1_000_000.0]
    quota = quotas(now, requestsPerMinute=2, dailyCostUsd=1)
    await quota.spend("u", 10, 2.0)
    assert not await admitted(quota)
    for jump in (86_400.0, -400 * 86_400.0, 500 * 86_400.0):
        now[0] += jump
        assert await admitted(quota)


async def test_runs_wait_for_a_place_or_are_refused_at_once():
    limits = {"concurrentRuns": 2, "queueDepth": 1, "queueSeconds": 3600}
    model = Gated()
    async with serving(make=model, limits=limits) as client:
        slow = [asyncio.create_task(client.post("/chat", {"message": "x"})) for _ in range(3)]
        await until(lambda: model.waiting == 2)
        await until(lambda: queued(client))
        refused = await client.post("/chat", {"message": "x"})
        assert (refused.status, refused.json["code"]) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        assert await client.metric("agent_queue_depth") == 1
        model.gate.set()
        assert [reply.status for reply in await asyncio.gather(*slow)] == [200] * 3
        assert await client.metric("agent_queue_depth") == 0
        assert (await client.post("/chat", {"message": "x"})).status == 200


async def queued(client) -> bool:
    return await client.metric("agent_queue_depth") == 1


async def test_a_run_that_waits_too_long_for_a_place_is_refused():
    limits = {"concurrentRuns": 1, "queueDepth": 1, "queueSeconds": 0.05}
    model = Gated()
    async with serving(make=model, limits=limits) as client:
        first = asyncio.create_task(client.post("/chat", {"message": "x"}))
        await until(lambda: model.waiting)
        late = await client.post("/chat", {"message": "x"})
        assert (late.status, late.json["code"]) == (503, "overloaded")
        assert await client.metric("agent_queue_depth") == 0
        model.gate.set()
        assert (await first).status == 200


async def test_a_process_that_stops_serves_its_queue():
    model = Gated()
    async with serving(make=model, limits={"concurrentRuns": 1, "queueSeconds": 3600}) as client:
        both = [asyncio.create_task(client.post("/chat", {"message": "x"})) for _ in range(2)]
        await until(lambda: model.waiting == 1)
        await until(lambda: queued(client))
        client.process.stop()
        await until(lambda: client.application.state.draining)
        model.gate.set()
        assert [reply.status for reply in await asyncio.gather(*both)] == [200] * 2


async def test_orders_that_are_not_runs_yet_are_waited_for():
    model = Gated()
    model.gate.set()
    async with serving(make=model) as client:
        runs = client.application.runs
        entered, free = asyncio.Event(), asyncio.Event()

        async def admit(user: str) -> None:
            entered.set()
            await free.wait()

        runs._quotas.admit = admit
        asking = asyncio.create_task(client.post("/chat", {"message": "x"}))
        await entered.wait()
        draining = asyncio.create_task(runs.drain(3600))
        await asyncio.sleep(0)
        free.set()
        assert (await asking).status == 200
        await draining


async def test_streams_are_bounded():
    model = Gated()
    async with serving(make=model, limits={"concurrentStreams": 1}) as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "x"}))
        await until(lambda: model.waiting)
        refused = await client.post("/chat", {"message": "x", "stream": True})
        assert refused.status == 503
        plain = asyncio.create_task(client.post("/chat", {"message": "x"}))
        await until(lambda: model.waiting == 2)
        model.gate.set()
        assert (await plain).status == 200
        await reading
        assert await client.metric("agent_inflight_streams") == 0
        assert (await client.events("/chat", {"message": "x"}))[-1].type == "done"


async def test_a_run_has_a_deadline():
    async with serving(limits={"runSeconds": 0.1}) as client:
        refused = await client.post("/chat", {"message": "wait 3600"})
    assert (refused.status, refused.json["code"]) == (504, "timeout")


async def test_one_of_several_users_never_holds_all_places():
    gated = Gated()
    limits = {"concurrentRuns": 4, "queueDepth": 0, "concurrentStreams": 100}
    async with serving(make=gated, auth=AUTH, environment=KEYS, limits=limits) as client:
        body = {"message": "x"}
        mine = [
            asyncio.create_task(client.post("/chat", body, headers=as_("ANN"))) for _ in range(3)
        ]
        await until(lambda: len(client.application.runs.registry.running) == 3)
        refused = await client.post("/chat", body, headers=as_("ANN"))
        theirs = asyncio.create_task(client.post("/chat", body, headers=as_("BOB")))
        await until(lambda: len(client.application.runs.registry.running) == 4)
        gated.gate.set()
        statuses = [(await task).status for task in (*mine, theirs)]
        again = await client.post("/chat", body, headers=as_("ANN"))
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert statuses == [200] * 4
    assert again.status == 200


def ws(client: Any, name: str) -> Any:
    return client.session.ws_connect(f"{client.url}/ws", headers=as_(name))


async def test_one_of_several_users_never_holds_all_streams():
    limits = {"concurrentStreams": 4}
    async with serving(auth=AUTH, environment=KEYS, limits=limits) as client:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(ws(client, "ANN"))
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await stack.enter_async_context(ws(client, "ANN"))
            await stack.enter_async_context(ws(client, "BOB"))


async def test_no_cache_keeps_what_the_api_answers():
    """Every route that is served, whoever asks and whatever becomes of it; probes and files say nothing of anybody."""
    server = {"host": "127.0.0.1", "ui": True}
    open_to_caches = {"/", "/assets/{file}", "/.well-known/agent-card.json", "/.well-known/agent.json"}  # fmt: skip
    async with serving(auth=AUTH, environment=KEYS, server=server) as client:
        assert client.application is not None
        routes = client.application.gateway.router.routes
        for route in routes:
            path = re.sub(r"\{\w+\}", "x", route.path)
            body = {} if route.method == "GET" else {"json": {"message": "x"}}
            for headers in ({}, as_("ANN")):
                reply = await client.ask(route.method, path, headers=headers, **body)
                kept = reply.headers.get("Cache-Control")
                if route.silent:
                    assert kept is None, route
                elif route.path not in open_to_caches:
                    assert kept in ("no-store", "no-store, no-transform"), (route, kept)
        assert (await client.get("/nothing")).headers["Cache-Control"] == "no-store"
        events = await client.ask(
            "POST", "/chat", json={"message": "x", "stream": True}, headers=as_("ANN")
        )
        assert events.headers["Cache-Control"] == "no-store, no-transform"
