"""Where a spec says who decides, they do: nobody else, once, and the run stays whose it was."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from fleetform_runtime.access.oidc import roles_of
from fleetform_runtime.telemetry.logs import JsonFormatter
from runtime.tests.harness import Client, parse, serving, settings, until
from runtime.tests.stores import BACKENDS, SHARED, memory
from runtime.tests.test_access import AUTH, KEYS, Issuer, as_, oidc, token
from runtime.tests.test_approvals import approve, tools
from runtime.tests.test_socket import connected
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio
BY_BOB = {"approvers": {"keys": ["bob"]}}
OTHERS = {**KEYS, "EVE": "eve-key-01234567890123"}
FOUR = {**AUTH, "keys": [*AUTH["keys"], {"name": "eve", "secret": {"env": "EVE"}}]}
EVE = {"Authorization": f"Bearer {OTHERS['EVE']}"}


def agent(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "tools": tools(url),
        "auth": FOUR,
        "environment": OTHERS,
        "approvals": BY_BOB,
        **changes,
    }


async def asked(
    client: Client, headers: dict[str, str], text: str = 'call pay {"sum": 5}'
) -> dict[str, Any]:
    reply = await client.post("/chat", {"message": text}, headers=headers)
    assert reply.json["finish_reason"] == "approval_required", reply.json
    return reply.json


async def ended(client: Client, run: str, headers: dict[str, str]) -> Any:
    """Return a run of the caller once it has ended."""

    async def state() -> Any:
        found = (await client.get(f"/runs/{run}", headers=headers)).json
        return found if found["status"] != "running" else None

    await until(state)
    return await state()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_an_approver_decides_and_the_run_goes_on_as_the_askers(
    backend, request, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    store = memory(backend, request, tmp_path)
    async with (
        upstream(answers({"paid": True})) as server,
        serving(**agent(server.url, memory=store)) as client,
    ):
        first = await asked(client, as_("ANN"), 'call pay {"sum": 5}\nmy secret plan')
        run = first["run_id"]
        (mine,) = (await client.get("/runs?status=waiting", headers=as_("ANN"))).json["runs"]
        assert (mine["run_id"], mine["may_decide"]) == (run, False)
        (seen,) = (await client.get("/runs?status=waiting", headers=as_("BOB"))).json["runs"]
        assert seen.keys() == {"run_id", "asked_by", "since", "expires_at", "calls", "may_decide"}
        assert (seen["run_id"], seen["asked_by"], seen["may_decide"]) == (run, "ann", True)
        assert (seen["calls"][0]["name"], seen["calls"][0]["args"]) == ("pay", {"sum": 5})
        shown = (await client.get(f"/runs/{run}", headers=as_("BOB"))).json
        assert shown.keys() == {"run_id", "status", "created_at", "asked_by", "pending"}
        assert "secret plan" not in json.dumps([seen, shown])
        path = f"/runs/{run}/approvals"
        refused = await client.post(path, approve(), headers=as_("ANN"))
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
        assert server.requests == []
        decided = await client.post(
            path, approve(digest=seen["calls"][0]["digest"]), headers=as_("BOB")
        )
        assert decided.status == 202
        assert decided.json.keys() == shown.keys() | {"decision"}
        assert (decided.json["status"], decided.json["decision"]["by"]) == ("resumed", "bob")
        went_on = decided.json["decision"]["run_id"]
        last = await ended(client, went_on, as_("ANN"))
        assert last["output"] == 'pay: {"paid": true}'
        assert last["session_id"] == first["session_id"]
        assert (last["resumes"], last["decided_by"]) == (run, "bob")
        own = (await client.get(f"/runs/{run}", headers=as_("ANN"))).json
        assert own["decision"] == decided.json["decision"]
        events = parse(
            (await client.get(f"/runs/{went_on}/events", headers=as_("ANN"))).body.decode()
        )
        assert (events[0].data["resumes"], events[0].data["decided_by"]) == (run, "bob")
        again = await client.post(path, approve(), headers=as_("BOB"))
        assert (again.status, again.json["code"]) == (409, "approval_used")
        for who in ("ANN", "BOB"):
            listed = (await client.get("/runs?status=waiting", headers=as_(who))).json
            assert listed == {"runs": []}
        assert await client.application.store.pauses.page(0, 9) == []
    assert len(server.requests) == 1


async def test_who_decided_is_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    handler = logging.StreamHandler(written := io.StringIO())
    handler.setFormatter(JsonFormatter(str))
    logging.getLogger("fleetform_runtime").addHandler(handler)
    try:
        async with upstream(answers({})) as server, serving(**agent(server.url)) as client:
            run = (await asked(client, as_("ANN")))["run_id"]
            reply = await client.post(f"/runs/{run}/approvals", approve(), headers=as_("BOB"))
            await ended(client, reply.json["decision"]["run_id"], as_("ANN"))
    finally:
        logging.getLogger("fleetform_runtime").removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [line for line in lines if line.get("decided_by")]
    assert {line["decided_by"] for line in told} == {"bob"}
    assert {line["caller"] for line in told} == {"ann"}
    assert {line["resumes"] for line in told} == {run}


async def test_nobody_else_sees_or_decides_anything():
    async with upstream(answers({})) as server, serving(**agent(server.url)) as client:
        run = (await asked(client, as_("ANN")))["run_id"]
        behind = as_("GATEWAY") | {"X-User-Id": "bob"}
        for headers in (EVE, as_("GATEWAY"), behind):
            assert (await client.get("/runs?status=waiting", headers=headers)).json == {"runs": []}
            for method, path, body in (
                ("GET", f"/runs/{run}", None),
                ("GET", f"/runs/{run}/events", None),
                ("POST", f"/runs/{run}/cancel", None),
                ("POST", f"/runs/{run}/approvals", approve()),
            ):
                reply = await client.ask(method, path, json=body, headers=headers)
                assert (reply.status, reply.json["code"]) == (404, "run_not_found"), path
        # An approver decides, and that is all.
        for method, path, status in (
            ("GET", f"/runs/{run}/events", 404),
            ("POST", f"/runs/{run}/cancel", 403),
        ):
            reply = await client.ask(method, path, headers=as_("BOB"))
            assert reply.status == status, path
        stream = approve() | {"stream": True}
        reply = await client.post(f"/runs/{run}/approvals", stream, headers=as_("BOB"))
        assert reply.status == 422
        done = await client.post(f"/runs/{run}/cancel", None, headers=as_("ANN"))
        assert done.json["status"] == "cancelled"
        late = await client.post(f"/runs/{run}/approvals", approve(), headers=as_("BOB"))
        assert (late.status, late.json["code"]) == (409, "approval_used")
    assert server.requests == []


@pytest.mark.parametrize(("allowed", "status"), [(False, 403), (True, 200)])
async def test_approvers_decide_on_their_own_calls_only_where_that_is_said(allowed, status):
    approvals = BY_BOB | ({"self": True} if allowed else {})
    async with (
        upstream(answers({})) as server,
        serving(**agent(server.url, approvals=approvals)) as client,
    ):
        run = (await asked(client, as_("BOB")))["run_id"]
        (own,) = (await client.get("/runs?status=waiting", headers=as_("BOB"))).json["runs"]
        assert own["may_decide"] is allowed
        reply = await client.post(f"/runs/{run}/approvals", approve(), headers=as_("BOB"))
        assert reply.status == status
        other = (await asked(client, as_("ANN")))["run_id"]
        reply = await client.post(f"/runs/{other}/approvals", approve(), headers=as_("ANN"))
        assert reply.status == 403
    assert len(server.requests) == allowed


async def test_a_user_of_a_gateway_approves_and_the_gateway_itself_does_not():
    approvals = {"approvers": {"keys": ["gateway/bob"]}}
    async with (
        upstream(answers({})) as server,
        serving(**agent(server.url, approvals=approvals)) as client,
    ):
        ann, bob = ({**as_("GATEWAY"), "X-User-Id": name} for name in ("ann", "bob"))
        path = f"/runs/{(await asked(client, ann))['run_id']}/approvals"
        for headers, status in ((ann, 403), (as_("GATEWAY"), 404), (as_("BOB"), 404), (bob, 202)):
            assert (await client.post(path, approve(), headers=headers)).status == status


async def test_questions_are_the_askers_unless_a_call_beside_them_needs_approval():
    async with upstream(answers({})) as server, serving(**agent(server.url)) as client:
        question = await asked(client, as_("ANN"), 'call ask {"q": "why"}')
        path = f"/runs/{question['run_id']}/approvals"
        answer = {"decisions": [{"id": "call_1", "answer": "so"}]}
        assert (await client.get("/runs?status=waiting", headers=as_("BOB"))).json == {"runs": []}
        assert (await client.post(path, answer, headers=as_("BOB"))).status == 404
        assert (await client.post(path, answer, headers=as_("ANN"))).status == 200
        both = await asked(client, as_("ANN"), 'call pay {"sum": 1}\ncall ask {"q": "why"}')
        path = f"/runs/{both['run_id']}/approvals"
        part = await client.post(path, approve(), headers=as_("BOB"))
        assert (part.status, "a decision is missing" in part.json["detail"]) == (422, True)
        decisions = [
            {"id": "call_1", "approved": True, "arguments": {"sum": 2}},
            {"id": "call_2", "approved": False, "reason": "ask again"},
        ]
        assert (await client.post(path, {"decisions": decisions}, headers=as_("ANN"))).status == 403
        done = await client.post(path, {"decisions": decisions}, headers=as_("BOB"))
        assert done.status == 202
        await ended(client, done.json["decision"]["run_id"], as_("ANN"))
    assert [item["json"] for item in server.requests] == [{"sum": 2}]


async def test_what_an_approver_gets_wrong_costs_the_asker_nothing():
    limits = {"perUser": {"requestsPerMinute": 2}}
    async with (
        upstream(answers({})) as server,
        serving(**agent(server.url, limits=limits)) as client,
    ):
        path = f"/runs/{(await asked(client, as_('ANN')))['run_id']}/approvals"
        for wrong in (approve(digest="0"), approve(id="call_9"), approve(approved=None)):
            for _ in range(3):
                assert (await client.post(path, wrong, headers=as_("BOB"))).status == 422
        assert (await client.post(path, approve(), headers=as_("BOB"))).status == 202
        # What goes on is the asker's second request, not the approver's.
        assert (await client.post("/chat", {"message": "x"}, headers=as_("ANN"))).status == 429
        assert (await client.post("/chat", {"message": "x"}, headers=as_("BOB"))).status == 200


@pytest.mark.parametrize("backend", SHARED)
async def test_of_two_approvers_on_two_replicas_one_decides(backend, request, tmp_path):
    approvals = {"approvers": {"keys": ["bob", "eve"]}}
    async with upstream(answers({})) as server:
        changes = agent(server.url, memory=memory(backend, request, tmp_path), approvals=approvals)
        async with serving(**changes) as one, serving(**changes) as two:
            run = (await asked(one, as_("ANN")))["run_id"]
            for client in (one, two):
                (seen,) = (await client.get("/runs?status=waiting", headers=EVE)).json["runs"]
                assert seen["run_id"] == run
            path = f"/runs/{run}/approvals"
            replies = await asyncio.gather(
                *(
                    client.post(path, approve(), headers=headers)
                    for client in (one, two)
                    for headers in (as_("BOB"), EVE)
                )
            )
            assert sorted(reply.status for reply in replies) == [202, 409, 409, 409]
            (won,) = (reply.json["decision"] for reply in replies if reply.status == 202)
            # The replica on which it waited is told by the store.
            for client in (one, two):
                own = (await client.get(f"/runs/{run}", headers=as_("ANN"))).json
                assert (own["status"], own["decision"]) == ("resumed", won)
            await ended(one, won["run_id"], as_("ANN"))
    assert len(server.requests) == 1


async def test_a_session_that_is_deleted_takes_its_runs_from_the_list(tmp_path):
    store = {"type": "filesystem", "path": str(tmp_path / "s")}
    async with (
        upstream(answers({})) as server,
        serving(**agent(server.url, memory=store)) as client,
    ):
        first = await asked(client, as_("ANN"))
        path = f"/sessions/{first['session_id']}"
        assert (await client.ask("DELETE", path, headers=as_("BOB"))).status == 404
        pauses = client.application.store.pauses
        assert len(await pauses.page(0, 9)) == 1
        assert (await client.ask("DELETE", path, headers=as_("ANN"))).status == 204
        assert await pauses.page(0, 9) == []
        assert (await client.get("/runs?status=waiting", headers=as_("BOB"))).json == {"runs": []}
        reply = await client.post(
            f"/runs/{first['run_id']}/approvals", approve(), headers=as_("BOB")
        )
        assert (reply.status, reply.json["code"]) == (409, "approval_used")
    assert server.requests == []


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
async def test_the_list_outlives_the_process(backend, request, tmp_path):
    store = memory(backend, request, tmp_path)
    async with upstream(answers({})) as server:
        changes = agent(server.url, memory=store)
        async with serving(**changes) as client:
            run = (await asked(client, as_("ANN")))["run_id"]
        async with serving(**changes) as client:
            (seen,) = (await client.get("/runs?status=waiting", headers=as_("BOB"))).json["runs"]
            assert seen["run_id"] == run
            reply = await client.post(f"/runs/{run}/approvals", approve(), headers=as_("BOB"))
            assert reply.status == 202
            await ended(client, reply.json["decision"]["run_id"], as_("ANN"))


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_nobody_decides_is_closed_where_nothing_happens(backend, request, tmp_path):
    store = memory(backend, request, tmp_path)
    limits = {"approvalSeconds": 0.05}
    async with (
        upstream(answers({})) as server,
        serving(**agent(server.url, memory=store, limits=limits)) as client,
    ):
        first = await asked(client, as_("ANN"))
        await asyncio.sleep(0.06)
        assert (await client.get("/runs?status=waiting", headers=as_("BOB"))).json == {"runs": []}
        runs, pauses = client.application.runs, client.application.store.pauses
        assert len(await pauses.page(0, 9)) == 1
        assert await runs.expire() == 1
        assert await runs.expire() == 0
        state = (await client.get(f"/runs/{first['run_id']}", headers=as_("ANN"))).json
        assert state["status"] == "cancelled"
        assert await pauses.page(0, 9) == []
        path = f"/sessions/{first['session_id']}/messages"
        last = (await client.get(path, headers=as_("ANN"))).json["messages"][-1]
        assert last["results"][0]["content"] == "Nobody answered in time."
    assert server.requests == []


async def test_a_socket_tells_an_approver_that_it_is_decided_and_no_more():
    async with upstream(answers({"a": 1})) as server, serving(**agent(server.url)) as client:
        run = (await asked(client, as_("ANN")))["run_id"]
        frame = {"type": "approve", "run_id": run, **approve()}
        async with connected(client, headers=as_("ANN")) as socket:
            await socket.send_json(frame)
            assert json.loads((await socket.receive()).data)["code"] == "forbidden"
        async with connected(client, headers=as_("BOB")) as socket:
            await socket.send_json({"type": "cancel", "run_id": run})
            assert json.loads((await socket.receive()).data)["code"] == "forbidden"
            await socket.send_json(frame)
            assert json.loads((await socket.receive()).data) == {"type": "decided", "run_id": run}
            await socket.send_json(frame)
            assert json.loads((await socket.receive()).data)["code"] == "approval_used"
    assert len(server.requests) == 1


# -- roles -----------------------------------------------------------------------------------------

ROLES = [
    ({"roles": ["ops"]}, "roles", {"ops"}),
    ({"roles": "ops"}, "roles", {"ops"}),
    ({"roles": "dev ops"}, "roles", {"dev ops"}),
    ({"roles": "dev,ops"}, "roles", {"dev,ops"}),
    ({"roles": ["dev", 5, None, ["ops"], {"ops": 1}, ""]}, "roles", {"dev"}),
    ({"roles": {"ops": True}}, "roles", set()),
    ({"roles": True}, "roles", set()),
    ({"roles": None, "realm_access": 1}, "roles", set()),
    ({}, "roles", set()),
    ({"roles": ["ops"]}, None, set()),
    ({"realm_access": {"roles": ["ops"]}}, "realm_access.roles", {"ops"}),
    ({"realm_access": ["roles"]}, "realm_access.roles", set()),
    ({"realm_access": {"roles": {"ops": 1}}}, "realm_access.roles", set()),
    ({"https://x.example/roles": ["ops"]}, "https://x.example/roles", {"ops"}),
    ({"a.b": ["own"], "a": {"b": ["nested"]}}, "a.b", {"own"}),
    ({"a.b": None, "a": {"b": ["nested"]}}, "a.b", set()),
]


@pytest.mark.parametrize(("claims", "name", "roles"), ROLES)
def test_roles_are_what_a_claim_clearly_says(claims, name, roles):
    assert roles_of(claims, name) == roles


async def test_a_role_of_the_token_makes_an_approver():
    def bearer(who: str, **fields: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(sub=who, **fields)}"}

    async with upstream(answers({})) as server, upstream(Issuer()) as issuer:
        changes = agent(
            server.url,
            auth=oidc(issuer.url, rolesClaim="realm.roles"),
            approvals={"approvers": {"roles": ["ops"]}},
        )
        async with serving(**changes) as client:
            ann = bearer("ann", realm={"roles": ["ops"]})
            path = f"/runs/{(await asked(client, ann))['run_id']}/approvals"
            for headers, status in (
                (ann, 403),
                (bearer("ops"), 404),
                (bearer("eve", realm={"roles": ["dev"]}), 404),
                (bearer("eve", realm={"roles": {"ops": 1}}), 404),
                (bearer("eve", roles=["ops"]), 404),
                (bearer("bob", realm={"roles": ["dev", "ops"]}), 202),
                (bearer("bob", realm={"roles": "ops"}), 409),
            ):
                assert (await client.post(path, approve(), headers=headers)).status == status


@pytest.mark.parametrize(
    ("auth", "approvers"),
    [
        ({"type": "none"}, {"keys": ["bob"]}),
        ({"type": "none"}, {"roles": ["ops"]}),
        (AUTH, {}),
        (AUTH, {"keys": []}),
        (AUTH, {"keys": ["eve"]}),
        (AUTH, {"keys": ["bob", "eve"]}),
        (AUTH, {"keys": ["gateway"]}),
        (AUTH, {"keys": ["gateway/"]}),
        (AUTH, {"keys": ["bob/ann"]}),
        (AUTH, {"roles": ["ops"]}),
        (oidc("http://127.0.0.1:1"), {"roles": ["ops"]}),
        (oidc("http://127.0.0.1:1", rolesClaim="roles"), {"keys": ["bob"]}),
    ],
)
def test_approvers_that_nobody_can_be_are_refused(auth, approvers):
    with pytest.raises(ValidationError):
        settings(auth=auth, approvals={"approvers": approvers})


async def test_without_approvers_nothing_is_told_of_who_decided():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url), auth=AUTH, environment=KEYS) as client,
    ):
        run = (await asked(client, as_("ANN")))["run_id"]
        (own,) = (await client.get("/runs?status=waiting", headers=as_("ANN"))).json["runs"]
        assert own.keys() == {"session_id", "title", "run_id", "expires_at", "calls"}
        path = f"/runs/{run}/approvals"
        assert (await client.post(path, approve(), headers=as_("BOB"))).status == 404
        done = await client.post(path, approve(), headers=as_("ANN"))
        assert done.status == 200
        states = [
            (await client.get(f"/runs/{name}", headers=as_("ANN"))).json
            for name in (run, done.json["run_id"])
        ]
        assert not {"decided_by", "resumes"} & {*states[0], *states[1]}
        assert states[0]["decision"]["by"] == "ann"
