"""`fleetform-runtime workflow run` and `serve`."""

import argparse
import asyncio
import json
import logging
import re
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from fleetform_runtime.check import begun, refused
from fleetform_runtime.cli import AGAIN
from fleetform_runtime.forms import redactor
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import StoreError, UnreadableRecordError, UnsuitableStoreError
from fleetform_runtime.telemetry import logs
from fleetform_runtime.workflows.records import document
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.store import Found, LostError
from fleetform_runtime.workflows.submitting import NAME, named, of_file, of_words, submitted
from fleetform_runtime.workflows.worker import executed

log = logging.getLogger(__name__)
T = TypeVar("T")

AWAY_SECONDS = 120.0
"""Seconds for which a store may be away before a run has begun."""
LOOK_SECONDS = 1.0
LONGEST_MESSAGE = 4_000
"""Bytes of a message about how a container ended."""


def workflow(options: argparse.Namespace) -> int:
    """Run or serve a workflow; return the exit code."""
    return begun(options, WorkflowSettings, _serve if options.action == "serve" else _run)


# -- serve -------------------------------------------------------------------------------------------


def _serve(settings: WorkflowSettings, options: argparse.Namespace, secrets: Secrets) -> int:
    from fleetform_runtime.server import serve  # noqa: PLC0415
    from fleetform_runtime.workflows.application import WorkflowApplication  # noqa: PLC0415

    def make(placed: WorkflowSettings) -> WorkflowApplication:
        return WorkflowApplication(placed, secrets, works=not options.idle)

    return serve(settings, options, secrets, f"workflow {settings.workflow.name}", make)


# -- run ---------------------------------------------------------------------------------------------


def _run(settings: WorkflowSettings, options: argparse.Namespace, secrets: Secrets) -> int:
    logs.configure(settings.observability.logging, redactor(secrets.known), sys.stderr)
    try:
        given = _inputs(settings, options)
    except ValueError as error:
        return refused([str(error)], 2)
    name = options.name or named(settings.workflow.name)
    if not re.fullmatch(NAME, name):
        said = "is no name of a run: 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
        return _ended(options, 2, [f"{name[:80]!a} {said}"])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            found = loop.run(_carried(settings, secrets, name, given))
    except HttpProblem as problem:
        code = 1 if problem.code == "concurrency_rejected" else 2
        return _ended(options, code, [problem.detail])
    except asyncio.CancelledError:
        return _ended(
            options, AGAIN, [f"run {name} was left as it is: it goes on when this is started again"]
        )
    except (StoreError, TimeoutError) as error:
        return _ended(
            options, AGAIN, [f"the store does not answer: {redactor(secrets.known)(str(error))}"]
        )
    _show(found, settings, options)
    run = found.run
    message = {"phase": run.phase, "reason": run.reason, "message": run.summary}
    _note(options.status_file, json.dumps(message, ensure_ascii=False))
    return 0 if run.phase == "Succeeded" else 1


def _ended(options: argparse.Namespace, code: int, lines: list[str]) -> int:
    _note(options.status_file, "\n".join(lines))
    return refused(lines, code)


def _inputs(settings: WorkflowSettings, options: argparse.Namespace) -> dict[str, Any]:
    """Return the inputs of a file, and those of the command line, which go first.

    Raises:
        ValueError: they are not readable.
    """
    found = of_file(options.input_file) if options.input_file is not None else {}
    return found | of_words(settings.definition, options.input or [])


async def _carried(
    settings: WorkflowSettings, secrets: Secrets, name: str, given: dict[str, Any]
) -> Found:
    """Begin a run, or find it, and carry it to its end unless somebody else does; return it as it ended."""
    from fleetform_runtime.workflows.application import Workflow  # noqa: PLC0415

    cancelled_by_signals()
    flow = Workflow(settings, secrets)
    try:
        await _patiently(flow.store.open)
        who = f"workflow:{settings.workflow.name}"
        await _patiently(lambda: submitted(settings, flow.store, name, given, who))
        most = settings.concurrency.max_concurrent
        while True:
            found = await _patiently(lambda: flow.store.get(name))
            if found is None:
                raise StoreError(f"run {name} is gone")
            if found.run.ended is not None and found.run.notice != "due":
                return found
            claim = await _patiently(
                lambda: flow.store.claim(uuid.uuid4().hex, settings.lease_seconds, most, name)
            )
            if claim is None:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                await executed(flow.around, claim)
            except LostError:
                log.warning("run %s is held by somebody else now", name)
    finally:
        await flow.close()


def cancelled_by_signals() -> None:
    """Let SIGTERM and SIGINT cancel this task: everything is closed on the way."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do something with a store that may be away for a while.

    Raises:
        StoreError: it was away for too long.
        HttpProblem: the run cannot be read.
    """
    until = asyncio.get_running_loop().time() + AWAY_SECONDS
    while True:
        try:
            return await work()
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None
        except UnsuitableStoreError:
            raise
        except StoreError as error:
            if asyncio.get_running_loop().time() > until:
                raise
            log.warning("the store of workflows does not answer: %s", error)
            await asyncio.sleep(LOOK_SECONDS)


def _show(found: Found, settings: WorkflowSettings, options: argparse.Namespace) -> None:
    identity = settings.workflow
    shown = document(found.run, found.steps, identity.name, identity.namespace)
    if options.format == "json":
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        return
    run, status = found.run, shown["status"]
    for step in status["steps"]:
        error = logs.one_line(step.get("error", {}).get("message", ""))
        sys.stdout.write(f"{step['phase']:<10} {step['name']}{'  ' + error if error else ''}\n")
    ending = f", {run.reason}: {logs.one_line(run.message)}" if run.reason else ""
    sys.stdout.write(f"{run.phase:<10} run {run.name}{ending}\n")


def _note(path: Path | None, text: str) -> None:
    """Say how it ended where Kubernetes looks for it; what cannot be written is not missed."""
    if path is None:
        return
    try:
        path.write_bytes(text.encode()[:LONGEST_MESSAGE].decode("utf-8", "ignore").encode())
    except OSError as error:
        log.warning("%s: %s", path, error.strerror)
