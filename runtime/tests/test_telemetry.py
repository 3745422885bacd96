"""What is told is true, complete and free of secrets."""

import asyncio
import base64
import gzip
import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.parser import text_string_to_metric_families

from fleetform_runtime.forms import redactor
from fleetform_runtime.messages import Assistant, Image, ToolCall, User
from fleetform_runtime.metrics import METRICS, VARIANT
from fleetform_runtime.models.build import build
from fleetform_runtime.net.client import Client
from fleetform_runtime.sections.serving import Logging
from fleetform_runtime.telemetry import logs
from fleetform_runtime.telemetry.content import LARGEST_HISTORY, LONGEST_TEXT, Content
from fleetform_runtime.telemetry.export import MOST_BYTES, Export
from runtime.tests.harness import Told, serving, until
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.test_net import remote
from runtime.tests.upstreams import answers, completion, upstream

pytestmark = pytest.mark.anyio


@pytest.mark.proof
async def test_a_scrape_holds_the_catalogue_and_nothing_else():
    tool = {"type": "api", "name": "t", "description": "Does.", "method": "GET"}
    async with upstream(answers({"a": 1})) as server:
        async with serving(tools=[tool | {"endpoint": server.url}]) as client:
            await client.chat("call t {}")
            await client.events("/chat", {"message": "x"})
            await client.get("/nothing")
            text = await client.scrape()
            async with client.session.get(client.metrics_url + "x") as answer:
                assert answer.status == 404
    families = {family.name: family for family in text_string_to_metric_families(text)}
    declared = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert set(families) == set(declared)
    for name, family in families.items():
        metric = declared[name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        names = {label.name for label in metric.labels if label is not VARIANT}
        closed = {label.name: set(label.values) for label in metric.labels if label.values}
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == names
            assert sample.labels["agent"] == "greeter"
            for label, values in closed.items():
                assert sample.labels[label] in values
    assert families["agent_request"].samples
    counts = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["agent_request"].samples
    }
    assert counts["/chat", "2xx"] == 2
    assert counts["other", "4xx"] == 1
    linted = subprocess.run(
        [promtool(), "check", "metrics"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert linted.returncode in (0, 3), linted.stderr
    assert "error" not in linted.stderr


def promtool() -> str:
    """Return the pinned tool, which `make tools` builds."""
    script = Path(__file__).parents[2] / "tools/install.py"
    done = subprocess.run(
        [sys.executable, script, "promtool"], text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def sink(received: list[Any]):
    async def handler(request):
        raw = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        received.append((request.path, request.headers, ExportTraceServiceRequest.FromString(raw)))
        return await answers({})(request)

    return handler


def spans(received: list[Any]) -> dict[str, dict[str, Any]]:
    return {
        span.name: {item.key: value(item.value) for item in span.attributes}
        | {"_trace": span.trace_id, "_parent": span.parent_span_id, "_id": span.span_id, "_status": span.status.code}
        for _, _, request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }  # fmt: skip


def value(item: Any) -> Any:
    return getattr(item, item.WhichOneof("value"))


def tracing(url: str, **fields: Any) -> dict[str, Any]:
    made = {
        "enabled": True,
        "provider": "langfuse",
        "endpoint": url,
        "publicKey": {"env": "PUBLIC"},
        "secretKey": {"env": "SECRET"},
        "environment": "test",
    }
    return {"tracing": made | fields}


ENVIRONMENT = {"PUBLIC": "pk-lf-public", "SECRET": "sk-lf-secret"}


async def traced(told: Told, **fields: Any) -> tuple[list[Any], list[Any]]:
    received: list[Any] = []
    tool = {"type": "api", "name": "t", "description": "Does.", "method": "GET"}
    async with (
        upstream(sink(received)) as receiver,
        upstream(answers({"a": "sk-lf-secret"})) as api,
    ):
        changes = {
            "observability": tracing(receiver.url, **fields),
            "tools": [tool | {"endpoint": api.url}],
            "environment": ENVIRONMENT,
        }
        parent = {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"}
        async with serving(make=told, **changes) as client:
            await client.post("/chat", {"message": "my words"}, headers=parent)
            if fields.get("sampleRate") != 0:
                await asyncio.to_thread(client.application.spans._provider.force_flush)
    return received, api.requests


async def test_a_compaction_is_a_span_with_the_request_for_its_summary_below():
    received: list[Any] = []
    async with upstream(sink(received)) as receiver:
        memory = {"type": "in-memory", "policy": {"compression": {"threshold": 2}}}
        changes = {"observability": tracing(receiver.url), "environment": ENVIRONMENT}
        async with serving(memory=memory, **changes) as client:
            session = (await client.chat("one"))["session_id"]
            await client.chat("two", session_id=session)
            await asyncio.to_thread(client.application.spans._provider.force_flush)
    sent = [
        span
        for _, _, request in received
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]
    (compaction,) = [span for span in sent if span.name == "compact conversation"]
    below = [span for span in sent if span.parent_span_id == compaction.span_id]
    assert [span.name for span in below] == ["chat gpt"]
    reason = {item.key: item.value.string_value for item in compaction.attributes}
    assert reason["fleetform.compaction.reason"] == "messages"
    assert reason["session.id"] == session


async def test_spans_reach_langfuse_without_what_was_said():
    calls = [ToolCall("c1", "t", "{}")]
    received, requests = await traced(Told(Assistant("", calls=calls), Assistant("my answer")))
    path, headers, _ = received[0]
    assert path == "/api/public/otel/v1/traces"
    pair = base64.b64encode(b"pk-lf-public:sk-lf-secret").decode()
    assert headers["Authorization"] == f"Basic {pair}"
    assert headers["x-langfuse-ingestion-version"] == "4"
    found = spans(received)
    assert set(found) == {"invoke_agent greeter", "chat gpt", "execute_tool t"}
    root, chat, tool = (found[n] for n in ("invoke_agent greeter", "chat gpt", "execute_tool t"))
    assert root["_trace"].hex() == "ab" * 16
    assert root["_parent"].hex() == "cd" * 8
    assert chat["_parent"] == tool["_parent"] == root["_id"]
    assert requests[0]["headers"]["traceparent"].split("-")[1:3] == ["ab" * 16, tool["_id"].hex()]
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.provider.name"] == "openai"
    assert root["session.id"] == root["gen_ai.conversation.id"] == chat["session.id"]
    assert root["user.id"] == "anonymous"
    assert root["langfuse.environment"] == "test"
    text = str(received)
    assert "my words" not in text
    assert "my answer" not in text
    assert "sk-lf-secret" not in text


async def test_content_is_exported_only_when_asked_for_and_never_secrets():
    calls = [ToolCall("c1", "t", "{}")]
    told = Told(Assistant("", calls=calls), Assistant("my answer"))
    received, _ = await traced(told, captureContent=True)
    text = str([request for _, _, request in received])
    assert "my words" in text
    assert "my answer" in text
    assert "[redacted]" in text
    assert "sk-lf-secret" not in text


async def test_what_was_said_has_the_shape_of_the_conventions():
    calls = [ToolCall("c1", "t", '{"n": 1}')]
    told = Told(Assistant("", "hm", calls=calls), Assistant("my answer"))
    received, _ = await traced(told, captureContent=True)
    chats = [
        {item.key: value(item.value) for item in span.attributes}
        for _, _, request in received
        for span in request.resource_spans[0].scope_spans[0].spans
        if span.name == "chat gpt"
    ]
    second = next(chat for chat in chats if "my answer" in chat["gen_ai.output.messages"])
    system = json.loads(second["gen_ai.system_instructions"])
    assert [part["type"] for part in system] == ["text"]
    asked, called, result = json.loads(second["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "my words"}]}
    assert called == {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "tool_call", "id": "c1", "name": "t", "arguments": {"n": 1}},
        ],
    }
    assert result["role"] == "tool"
    assert result["parts"][0]["type"] == "tool_call_response"
    (answer,) = json.loads(second["gen_ai.output.messages"])
    assert answer == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "my answer"}],
        "finish_reason": "stop",
    }


def test_what_was_said_is_cut_to_a_bound_from_the_oldest_on():
    content = Content(str)
    image = Image("data:image/png;base64," + "A" * 1_000_000)
    long = [User("x" * 100_000), User([image, "see"])] * 20
    shown = json.loads(content.history(long))
    assert len(json.dumps(shown)) < LARGEST_HISTORY + LONGEST_TEXT
    assert "older messages are left out" in shown[0]["parts"][0]["content"]
    assert shown[-1]["parts"][0] == {
        "type": "image",
        "modality": "image",
        "mime_type": "image/png",
        "characters": 1_000_000,
    }


async def test_retries_and_fallbacks_are_events_and_the_model_that_answered_is_named():
    received: list[Any] = []
    async with (
        upstream(sink(received)) as receiver,
        upstream(answers((500, "no", {}))) as broken,
        upstream(answers(completion("fine") | {"model": "m-2026"})) as works,
    ):
        first = remote(broken.url, retries=1, name="first")
        async with serving(
            make=build,
            model=first,
            fallbacks=[remote(works.url, name="second")],
            observability=tracing(receiver.url),
            environment=ENVIRONMENT,
        ) as client:
            await client.post("/chat", {"message": "x", "metadata": {"tags": ["a", "b"], "n": 1}})
            await asyncio.to_thread(client.application.spans._provider.force_flush)
    chat = spans(received)["chat first"]
    assert chat["gen_ai.response.model"] == "m-2026"
    assert chat["_status"] == 0
    root = spans(received)["invoke_agent greeter"]
    assert [tag.string_value for tag in root["langfuse.trace.tags"].values] == ["a", "b"]
    events = [
        {item.key: value(item.value) for item in event.attributes}
        for _, _, request in received
        for span in request.resource_spans[0].scope_spans[0].spans
        for event in span.events
    ]
    assert [(e["gen_ai.request.model"], e["error.type"], e["fleetform.next"]) for e in events] == [
        ("first", "server_error", "first"),
        ("first", "server_error", "second"),
    ]


async def test_a_receiver_that_is_away_for_a_moment_gets_every_span():
    received: list[Any] = []
    take = sink(received)
    codes = [503, 429, 200]

    async def moody(request):
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        return await (take if code == 200 else answers((code, "", {})))(request)

    async with upstream(moody) as receiver:
        async with serving(
            make=Told(Assistant("hi")),
            observability=tracing(receiver.url),
            environment=ENVIRONMENT,
        ) as client:
            await client.chat("x")
            await asyncio.to_thread(client.application.spans._provider.force_flush)
    assert set(spans(received)) == {"invoke_agent greeter", "chat gpt"}


async def test_batches_are_split_by_bytes():
    received: list[Any] = []
    async with upstream(sink(received)) as receiver:
        export = Export(f"{receiver.url}/v1/traces", Client(receiver.url))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(export)
        tracer = provider.get_tracer("t")
        for _ in range(20):
            tracer.start_span("one", attributes={"text": "x" * 900_000}).end()
        await asyncio.to_thread(export.force_flush)
        await export.close()
    sizes = [len(request["raw"]) for request in receiver.requests]
    assert max(sizes) <= MOST_BYTES
    assert sum(len(r.resource_spans[0].scope_spans[0].spans) for _, _, r in received) == 20


async def test_a_receiver_that_never_answers_delays_the_end_by_its_bound_alone(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.telemetry.export.CLOSE_SECONDS", 0.1)

    async def never(request):
        await asyncio.sleep(3600)

    async with upstream(never) as receiver:
        async with serving(
            make=Told(Assistant("hi")), observability=tracing(receiver.url), environment=ENVIRONMENT
        ) as client:
            await client.chat("x")
            async with asyncio.timeout(30):
                await client.application.spans.close()


async def test_nothing_is_sampled_at_rate_nought_and_a_dead_receiver_hurts_nobody(caplog):
    received, _ = await traced(Told(Assistant("x")), sampleRate=0)
    assert received == []
    observability = tracing("http://127.0.0.1:1")
    async with serving(observability=observability, environment=ENVIRONMENT) as client:
        assert (await client.chat("x"))["output"]
        await asyncio.to_thread(client.application.spans._provider.force_flush)
    assert "spans were not exported" in caplog.text


def line(record: logging.LogRecord, known: tuple[str, ...] = ()) -> dict[str, Any]:
    return json.loads(logs.JsonFormatter(redactor(lambda: known)).format(record))


def record(message: str, *arguments: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.INFO, "f", 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def test_a_line_for_people_moves_no_cursor():
    record = logging.LogRecord("x", logging.INFO, "x", 1, "name \x1b[2K\r\u202e\tis", (), None)
    shown = logs.TextFormatter(redactor(lambda: ["secret"])).format(record)
    assert shown.endswith("name \\x1b[2K\\r\\u202e\tis")


def test_a_record_for_people_is_one_line_whatever_stands_in_it():
    error = ValueError("first\nsecond")
    failed = ValueError, error, None
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it\n2026 ERROR x: forged", (), failed)
    shown = logs.TextFormatter(redactor(list)).format(record)
    assert "\n" not in shown
    assert "it\\n2026 ERROR x: forged" in shown
    assert "ValueError: first\\nsecond" in shown


async def test_who_called_stands_in_the_log_of_request_and_run():
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonFormatter(redactor(lambda: ())))
    logger = logging.getLogger("fleetform_runtime")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with serving(auth=AUTH, environment=KEYS) as client:
            await client.post("/chat", {"message": "x"}, headers=as_("ANN"))
            await client.post("/chat", {"message": "x"})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    lines = [json.loads(text) for text in written.getvalue().splitlines()]
    callers = {
        (found["logger"], found.get("caller"))
        for found in lines
        if "greeter" not in found["message"]
    }
    assert {("fleetform_runtime.requests", "ann"), ("fleetform_runtime.requests", None)} <= callers
    assert ("fleetform_runtime.runs.outcomes", "ann") in callers


def test_log_lines_are_json_with_what_finds_them_again():
    token = logs.request_id.set("r-1")
    run = logs.run_context.set({"run_id": "x", "session_id": "s", "trace_id": "t"})
    try:
        found = line(record("%s is\nfine", "it", status=200, other="x"))
    finally:
        logs.request_id.reset(token)
        logs.run_context.reset(run)
    assert (found["run_id"], found["session_id"], found["trace_id"]) == ("x", "s", "t")
    assert found["message"] == "it is\nfine"
    assert (found["level"], found["logger"]) == ("info", "a.b")
    assert (found["request_id"], found["status"]) == ("r-1", 200)
    assert "other" not in found


def test_values_of_secrets_are_never_written():
    known = ("sk-secret-1234567", 'with"quote\\')
    assert line(record("key sk-secret-1234567 and %s", 'with"quote\\'), known)["message"] == (
        "key [redacted] and [redacted]"
    )


def test_levels_are_set_for_single_loggers():
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        settings = Logging.model_validate({"level": "warning", "loggers": {"x.y": "debug"}})
        logs.configure(settings, lambda text: text)
        assert logging.getLogger("x.y").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("z").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])
        logging.getLogger("x.y").setLevel(logging.NOTSET)


async def test_logs_hold_no_words_of_people(caplog):
    caplog.set_level(logging.DEBUG, logger="fleetform_runtime")
    told = Told(Assistant("the answer words"))
    async with serving(make=told) as client:
        await client.chat("the question words")
        await client.events("/chat", {"message": "the question words"})
    assert "POST /chat 200" in caplog.text
    assert caplog.text.count("run succeeded") == 2
    assert "words" not in caplog.text


async def test_who_decided_is_in_the_span_of_the_run_that_goes_on():
    received: list[Any] = []
    tool = {"type": "api", "name": "t", "description": "Does.", "method": "GET"}
    keys = [{"name": name, "secret": {"env": name.upper()}} for name in ("ann", "bob")]
    secrets = {"ANN": "ann-key-01234567890123", "BOB": "bob-key-01234567890123"}
    async with upstream(sink(received)) as receiver, upstream(answers({})) as api:
        async with serving(
            observability=tracing(receiver.url),
            tools=[tool | {"endpoint": api.url, "requiresApproval": True}],
            auth={"type": "apiKey", "keys": keys},
            approvals={"approvers": {"keys": ["bob"]}},
            environment=ENVIRONMENT | secrets,
        ) as client:
            ann, bob = ({"X-API-Key": secrets[name]} for name in ("ANN", "BOB"))
            body = {"message": "call t {}"}
            run = (await client.post("/chat", body, headers=ann)).json["run_id"]
            decision = {"decisions": [{"id": "call_1", "approved": True}]}
            await client.post(f"/runs/{run}/approvals", decision, headers=bob)
            await until(lambda: not client.application.runs.registry.running)
            await asyncio.to_thread(client.application.spans._provider.force_flush)
    runs = [
        {item.key: value(item.value) for item in span.attributes}
        for _, _, request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.name.startswith("invoke_agent")
    ]
    assert {item["user.id"] for item in runs} == {"ann"}
    assert {item.get("fleetform.run.decided_by") for item in runs} == {None, "bob"}


async def test_caller_and_callee_are_one_trace_and_the_callee_knows_who_called():
    received: list[Any] = []
    async with upstream(sink(received)) as receiver:
        changes = {"observability": tracing(receiver.url), "environment": ENVIRONMENT}
        callee = {"name": "callee", "namespace": "demo"}
        async with serving(agent=callee, **changes) as b:
            tool = {"type": "agent", "name": "b", "description": "Asks.", "url": b.url}
            async with serving(tools=[tool], **changes) as a:
                await a.chat('call b {"message": "hello"}')
                for client in (a, b):
                    await asyncio.to_thread(client.application.spans._provider.force_flush)
    found = spans(received)
    there, call = found["invoke_agent callee"], found["execute_tool b"]
    assert there["fleetform.run.callers"] == "greeter"
    assert (there["_trace"], there["_parent"]) == (call["_trace"], call["_id"])
    assert "fleetform.run.callers" not in found["invoke_agent greeter"]
