"""How runs end: results, events, problems, and how much of a provider's error callers may see."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

from fleetform_runtime.messages import dump, result_body
from fleetform_runtime.models import ModelError
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun
from fleetform_runtime.runs.pending import shown_pending
from fleetform_runtime.runs.turn import Answer, Pause, Turn
from fleetform_runtime.store import StoreError
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_MODEL_FAILURES = {
    "rate_limited": "the model's provider is receiving too many requests",
    "connection": "the connection to the model was lost",
    "invalid": "the model's answer could not be read",
}


def pending(run: str, turn: Turn, pause: Pause, since: float, expires: float) -> dict[str, Any]:
    """Serialise pending calls: enough to continue after a restart, on any replica."""
    asked = turn.fresh[-1]
    ends = [
        item.waits["expires"] for item in pause.waiting if item.waits and "expires" in item.waits
    ]
    return {
        "run_id": run,
        "rows": [dump(message).decode() for message in turn.fresh],
        "since": since,
        "expires": min([expires, *ends]),
        **({"schema": turn.wanted.schema} if turn.wanted is not None else {}),
        **({"callers": list(turn.callers)} if turn.callers else {}),
        "order": [call.id for call in getattr(asked, "calls", [])],
        # Earlier versions know no more members of results, and read this too while replicas are replaced.
        "done": [result_body(replace(result, duration_ms=None)) for result in pause.done],
        "took": {result.id: result.duration_ms for result in pause.done},
        "calls": [
            {
                "id": item.call.id,
                "name": item.call.name,
                "arguments": item.call.arguments,
                "type": item.type,
                "server": item.server,
                **({"needed": item.needed} if item.needed else {}),
                **({"waits": item.waits} if item.waits else {}),
            }
            for item in pause.waiting
        ],
    }


def succeed(run: LiveRun, turn: Turn, answer: Answer, waiting: dict[str, Any] | None) -> None:
    """End a run with its answer, or pause it for a human decision."""
    run.status = "waiting" if waiting else "succeeded"
    run.foreign = answer.foreign
    run.thinking = answer.thinking
    usage = turn.usage.body()
    run.result = {
        "session_id": run.shown_session,
        "run_id": run.id,
        "output": answer.text,
        "tool_calls": turn.calls,
        "usage": usage,
        "finish_reason": answer.finish,
    }
    if turn.wanted is not None and not waiting:
        run.result["data"] = answer.value
    if waiting:
        shown = shown_pending(waiting)
        run.result["pending"] = shown
        run.log.emit("approval_required", {"run_id": run.id, **shown})
    run.log.emit("usage", usage)
    run.log.emit(
        "done",
        {
            "run_id": run.id,
            "session_id": run.shown_session,
            "finish_reason": answer.finish,
            "output": answer.text,
            **({"data": answer.value} if turn.wanted is not None else {}),
        },
    )


def fail(run: LiveRun, turn: Turn, problem: HttpProblem) -> None:
    """End a run with a problem: a copy, for a raised one holds on to the whole history by its traceback."""
    problem = replace(problem, run_id=run.id)
    run.problem = problem
    run.status = "cancelled" if run.cancelled else "failed"
    usage = turn.usage.body()
    run.result = {
        "session_id": run.shown_session,
        "run_id": run.id,
        "output": "".join(turn.spoken),
        "tool_calls": turn.calls,
        "usage": usage,
        "finish_reason": "cancelled" if run.cancelled else "error",
        "error": problem.body()
        | ({} if problem.retry_after is None else {"retry_after": problem.retry_after}),
    }
    run.log.emit("usage", usage)
    run.log.emit(
        "error",
        {
            "code": problem.code,
            "message": problem.detail,
            "retryable": problem.may_retry,
            "run_id": run.id,
            "session_id": run.shown_session,
        },
    )


def problem_of(error: BaseException, run: LiveRun, seconds: float, metrics: Metrics) -> HttpProblem:
    """Return the problem that ended a run early; count those that the caller did not cause."""
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, ModelError):
        return _model_problem(error, metrics)
    if isinstance(error, TimeoutError):
        cause, code, detail = "timeout", "timeout", f"the run took longer than {seconds:g} s"
    elif isinstance(error, StoreError):
        cause, code = "memory", "memory_unavailable"
        detail = "the conversation store does not answer"
    elif isinstance(error, asyncio.CancelledError) and run.cancelled:
        cause, code, detail = "cancelled", "cancelled", "the run was cancelled"
    elif isinstance(error, asyncio.CancelledError):
        cause, code, detail = "cancelled", "draining", "the replica is shutting down; try again"
    else:
        log.error("run %s failed", run.id, exc_info=error)
        cause, code, detail = "internal", "internal", "the run failed; see the log"
    metrics.count("agent_request_errors_total", cause)
    return HttpProblem(code, detail)


def _model_problem(error: ModelError, metrics: Metrics) -> HttpProblem:
    log.warning("the model failed: %s (status %s)", error, error.status)
    metrics.count("agent_request_errors_total", "timeout" if error.kind == "timeout" else "model")
    if error.kind == "timeout":
        return HttpProblem("timeout", "the model did not answer in time", error.retry_after)
    if error.kind == "context":
        return HttpProblem(
            "context_too_long", "the conversation exceeds the model's context window"
        )
    if error.kind == "unsupported":
        return HttpProblem("invalid_fields", error.detail)
    if error.kind == "filtered":
        return HttpProblem("content_filtered", "the provider's content filter refused the request")
    if error.kind in ("refused", "authentication"):
        return HttpProblem("model_refused", "the model's provider refused the request")
    what = _MODEL_FAILURES.get(error.kind, "the model's provider failed")
    return HttpProblem("model_failed", what, error.retry_after)


def tell(run: LiveRun, turn: Turn, model: str) -> None:
    """Log how a run ended, without any of its content."""
    log.info(
        "run %s",
        run.status,
        extra={
            "model": model,
            "finish_reason": run.result.get("finish_reason"),
            "duration_ms": round((time.time() - run.created) * 1000, 1),
            "input_tokens": turn.usage.input_tokens,
            "output_tokens": turn.usage.output_tokens,
        },
    )
