"""What fields mean when others are absent: nobody writes TLS, triggers or keys for nothing."""

import pytest

from fleetform.problems import errors
from tests.served.fleets import BARE, PLAIN, document, fleet, secret
from tests.served.rendering import outcome

CRON = {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "3"}


def rendered(*documents, environment=BARE):
    output, problems = outcome(
        fleet(*documents), fleet(document("Environment", "prod", environment)), whole=True
    )
    assert output is not None, errors(problems)
    return "".join(output["rendered/prod"].values()), {(p.code, p.path) for p in problems}


def with_memory(**memory):
    return document("Agent", "a", {**PLAIN, "memory": memory})


@pytest.mark.parametrize("kind", ["redis", "postgres"])
@pytest.mark.parametrize(
    "tls", [{"enabled": True}, {"insecureSkipVerify": True}, {"secretRef": {"name": "t"}}]
)
def test_a_store_is_reached_by_tls_once_anything_of_it_is_said(kind, tls):
    text, _ = rendered(with_memory(type=kind, **{kind: {"host": "r.example", "tls": tls}}))
    assert '"tls":' in text


def test_a_store_is_reached_without_tls_when_it_is_switched_off_and_the_rest_is_said_to_be_idle():
    tls = {"enabled": False, "secretRef": {"name": "t"}}
    text, said = rendered(with_memory(type="redis", redis={"host": "r.example", "tls": tls}))
    assert '"tls":' not in text
    assert ("not-used", "spec.memory.redis.tls.secretRef") in said


def test_triggers_are_keda_unless_it_is_switched_off():
    trigger = {"triggers": [{"type": "cron", "metadata": CRON}]}
    environment = {**BARE, "capabilities": ["gateway-api", "keda"]}
    memory = {"type": "redis", "redis": {"host": "r.example"}}
    for keda, expected in ((trigger, True), ({**trigger, "enabled": False}, False)):
        spec = {**PLAIN, "memory": memory, "scaling": {"maxReplicas": 3, "keda": keda}}
        text, said = rendered(document("Agent", "a", spec), environment=environment)
        assert ("kind: ScaledObject" in text) is expected
        assert (("not-used", "spec.scaling.keda.triggers") in said) is not expected


def test_an_api_tool_without_a_key_says_so_to_the_runtime():
    tool = {"type": "api", "api": {"endpoint": "https://p.example", "method": "POST"}}
    tool["api"]["idempotencyKey"] = False
    agent = document("Agent", "a", {**PLAIN, "tools": [{"name": "pay"}]})
    text, _ = rendered(agent, document("Tool", "pay", tool))
    assert '"idempotencyKey":false' in text.replace("\\", "").replace(" ", "")


def test_what_a_template_says_is_idle_only_when_no_agent_uses_it():
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 10}}
    template = document("AgentTemplate", "t", {**PLAIN, "scaling": {"behavior": behavior}})
    fixed = document("Agent", "fixed", {"extends": "t"})
    memory = {"type": "redis", "redis": {"host": "r.example"}}
    moving = document(
        "Agent", "moving", {"extends": "t", "memory": memory, "scaling": {"maxReplicas": 3}}
    )
    idle = ("not-used", "spec.scaling.behavior")
    assert idle in rendered(template, fixed)[1]
    assert idle not in rendered(template, fixed, moving)[1]


def test_a_provisioned_store_may_have_volumes_that_are_claims():
    volume = {"name": "more", "mountPath": "/more", "claim": {"size": "1Gi"}}
    store = document("MemoryStore", "s", {"type": "redis", "provision": {"volumes": [volume]}})
    agent = document("Agent", "a", {**PLAIN, "memory": {"store": "s"}})
    assert "kind: PersistentVolumeClaim" in rendered(store, agent)[0]


def test_an_agent_may_give_the_store_that_it_names_another_type():
    store = document("MemoryStore", "s", {"type": "redis", "redis": {"host": "r.example"}})
    agent = with_memory(store="s", type="in-memory")
    assert '"type":"in-memory"' in rendered(store, agent)[0].replace("\\", "").replace(" ", "")


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_provisioned_server_that_speaks_no_tls_is_not_asked_for_it(kind):
    own = {"tls": {"enabled": True}}
    if kind == "postgres":
        own["passwordSecretRef"] = secret("p")
    store = document("MemoryStore", "s", {"type": kind, kind: own, "provision": {}})
    _, problems = outcome(
        fleet(store, document("Agent", "a", {**PLAIN, "memory": {"store": "s"}})),
        fleet(document("Environment", "prod", BARE)),
    )
    assert [p.path for p in errors(problems)] == [f"spec.{kind}.tls"]


def test_a_key_that_an_environment_inherits_may_be_for_another_one_unless_it_is_misspelt():
    pins = {"example/later": {"tag": "1"}, "fleetform/agent-runtim": {"tag": "1"}}
    base = document(
        "Environment",
        "base",
        {"abstract": True, "images": {"pins": {**pins, **BARE["images"]["pins"]}}},
    )
    prod = document("Environment", "prod", {"extends": "base"})
    _, problems = outcome(fleet(document("Agent", "a", PLAIN)), fleet(base, prod))
    said = [(p.path, p.hint) for p in problems if p.code == "idle-key"]
    assert said == [
        ("spec.images.pins.fleetform/agent-runtim", "did you mean `fleetform/agent-runtime`?")
    ]
