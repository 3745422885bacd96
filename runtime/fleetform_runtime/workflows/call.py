"""`fleetform-runtime call`: one step of a run, its result, or its notice, for an engine that executes the rest.

A step is performed as everywhere else: a run in memory in which every other step is over. So retries, pauses, the time
for which a person is waited for, and the ids of messages are the same; whoever is started again under the same id finds
the answers that were asked for before.
"""

import argparse
import asyncio
import logging
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

from fleetform_runtime.check import begun, refused
from fleetform_runtime.cli import AGAIN
from fleetform_runtime.forms import redactor
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import InMemory
from fleetform_runtime.telemetry import logs
from fleetform_runtime.workflows.command import cancelled_by_signals
from fleetform_runtime.workflows.notice import Notifier
from fleetform_runtime.workflows.records import StepState, WorkflowRun
from fleetform_runtime.workflows.settings import Definition, WorkflowSettings
from fleetform_runtime.workflows.store import Found
from fleetform_runtime.workflows.submitting import completed, of_file, of_words
from fleetform_runtime.workflows.worker import executed

log = logging.getLogger(__name__)

LARGEST_OUTPUTS = 100 * 1024
"""Bytes of all outputs of a step, or of a result: an engine keeps those of all steps in one object of 1 MiB."""
LEASE = 600.0
"""Seconds; nobody else is there to take the run over."""
FAILED, WRONG = 1, 2
"""Exit codes: it has failed; it cannot be begun."""
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_TRY = re.compile(r"\(\d+\)\Z")


@dataclass(frozen=True, slots=True)
class Given:
    """What the engine knows of a run."""

    input: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Outputs of steps that have succeeded."""
    failures: tuple[str, ...] = ()
    """Names of steps that have failed."""


def call(options: argparse.Namespace) -> int:
    """Perform one part of a run; return the exit code."""
    return begun(options, WorkflowSettings, _called)


def _called(settings: WorkflowSettings, options: argparse.Namespace, secrets: Secrets) -> int:
    logs.configure(settings.observability.logging, redactor(secrets.known), sys.stderr)
    try:
        given = _given(settings.definition, options.input)
        if options.notify is None:
            given = replace(given, input=completed(settings.definition, given.input))
    except ValueError as error:
        return refused([str(error)], WRONG)
    names = [step.name for step in settings.definition.steps]
    if options.step is not None and options.step not in names:
        return refused([f"there is no step {options.step}: the workflow has {', '.join(names)}"], WRONG)  # fmt: skip
    run = WorkflowRun(
        name=options.run,
        id=options.id or options.run,
        user=f"workflow:{settings.workflow.name}",
        input=given.input,
        definition=_alone(settings.definition),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        try:
            if options.notify is not None:
                return loop.run(_notified(settings, secrets, run, options.notify, given))
            found = loop.run(_performed(settings, secrets, run, given, options.step))
        except asyncio.CancelledError:
            again = f"run {run.name} was left as it is: it goes on when this is started again"
            return refused([again], AGAIN)
    return _told(found, options)


def _alone(definition: Definition) -> dict[str, Any]:
    """Return a definition of which the engine tells others."""
    said = definition.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return said | {"notify": False, "onStepFailure": "fail"}


# -- what is given ---------------------------------------------------------------------------------


def _given(definition: Definition, path: Path | None) -> Given:
    """Return what a file says of a run.

    Raises:
        ValueError: it is not readable.
    """
    if path is None:
        return Given()
    found = of_file(path)
    steps = found.get("steps") or {}
    if not isinstance(steps, dict) or not all(isinstance(one, dict) for one in steps.values()):
        raise ValueError(f"{path}: steps: it must be an object of objects")
    return Given(_inputs(definition, path, found.get("input")), steps, _failures(found))


def _inputs(definition: Definition, path: Path, said: Any) -> dict[str, Any]:
    if isinstance(said, list) and all(isinstance(one, dict) and "name" in one for one in said):
        texts = [f"{one['name']}={one['value']}" for one in said if one.get("value") is not None]
        return of_words(definition, texts)
    if isinstance(said, dict | None):
        return dict(said or {})
    raise ValueError(f"{path}: input: it must be an object, or a list of name and value")


def _failures(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of failed steps; Argo Workflows has them as JSON within a text."""
    said = found.get("failures")
    if isinstance(said, str):
        try:
            said = orjson.loads(said)
        except ValueError:
            return ()
    names = [one.get("displayName") for one in said or () if isinstance(one, dict)]
    return tuple(dict.fromkeys(_TRY.sub("", name) for name in names if isinstance(name, str)))


# -- a step, and the result ------------------------------------------------------------------------


async def _performed(
    settings: WorkflowSettings, secrets: Secrets, run: WorkflowRun, given: Given, step: str | None
) -> Found:
    """Carry a run to its end in which all steps are over but one, or none."""
    from fleetform_runtime.workflows.application import Workflow  # noqa: PLC0415

    cancelled_by_signals()
    flow = Workflow(settings.model_copy(update={"memory": InMemory(type="in-memory")}), secrets)
    try:
        await flow.store.open()
        await flow.store.submit(run, 1, "queue")
        claim = await flow.store.claim(uuid.uuid4().hex, LEASE, 1, run.name)
        assert claim is not None
        steps = {
            item.name: _over(given, item.name, is_result=step is None)
            for item in settings.definition.steps
            if item.name != step
        }
        claim = replace(claim, found=replace(claim.found, steps=steps))
        ended = await executed(replace(flow.around, lease=LEASE), claim)
        kept = await flow.store.get(run.name)
        assert kept is not None
        return Found(ended, kept.steps)
    finally:
        await flow.close()


def _over(given: Given, name: str, *, is_result: bool) -> StepState:
    """Return a step that somebody else has performed; of one that nobody tells of, nothing may be needed."""
    if name not in given.steps and not is_result:
        return StepState(phase="Skipped")
    return StepState(phase="Succeeded", outputs=given.steps.get(name, {}))


def _told(found: Found, options: argparse.Namespace) -> int:
    if options.step is None:
        if found.run.phase != "Succeeded":
            return refused([f"run {found.run.name}: {found.run.reason}: {found.run.message}"], FAILED)  # fmt: skip
        return _kept(found.run.output, options.out)
    step = found.steps[options.step]
    if step.phase == "Succeeded":
        return _kept(step.outputs, options.out)
    return refused([f"step {options.step}: {step.code}: {step.error}"], FAILED)


def _kept(outputs: Mapping[str, Any], folder: Path | None) -> int:
    """Write outputs, all of them or none."""
    texts = {name: text_of(value) for name, value in outputs.items()}
    size = sum(len(text) for text in texts.values())
    if size > LARGEST_OUTPUTS:
        said = f"the outputs have {size} bytes, of which the engine keeps {LARGEST_OUTPUTS} at most"
        return refused([f"{said}: keep less of the answer, or where it is stored"], FAILED)
    if folder is None:
        sys.stdout.write("".join(f"{name} {text.decode()}\n" for name, text in texts.items()))
        return 0
    if wrong := [name for name in texts if not _FILE.fullmatch(name)]:
        return refused([f"`{wrong[0][:80]}` is no name of a file"], WRONG)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_bytes(text)
    except OSError as error:
        return refused([f"{folder}: cannot be written: {error.strerror}"], FAILED)
    return 0


def text_of(value: Any) -> bytes:
    """Return JSON in which neither Argo Workflows nor Kubernetes sees anything to fill in.

    Both can only stand within its texts, where any character may be written as its number.
    """
    return orjson.dumps(value).replace(b"{{", b"{\\u007b").replace(b"$(", b"$\\u0028")


# -- the notice ------------------------------------------------------------------------------------


async def _notified(
    settings: WorkflowSettings, secrets: Secrets, run: WorkflowRun, phase: str, given: Given
) -> int:
    if phase == "Succeeded" or not settings.definition.notify or settings.notification is None:
        return 0
    cancelled_by_signals()
    names = [step.name for step in settings.definition.steps]
    failed = [name for name in names if name in given.failures]
    said = f"failed: {', '.join(failed)}" if failed else f"it ended as {phase}"
    run = replace(run, phase="Failed", reason="StepFailed", message=said, summary=said)
    notifier = Notifier(settings.notification, settings.workflow, secrets)
    return 0 if await notifier.tell(run) else FAILED
