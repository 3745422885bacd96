"""An agent of the fleet, configured for a laptop: its agent.json without what only a cluster has."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from fleetform import kinds, pipeline
from fleetform.cli import documents, trust
from fleetform.cli.report import PROBLEMS, Format, stop
from fleetform.contract import BESIDE, NO_MEMORY, SECRETS, SETTINGS
from fleetform.local_values import EnvFileError, known_values, lookup, variables
from fleetform.problems import did_you_mean, errors

if TYPE_CHECKING:
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.models.workflow import WorkflowSpec
    from fleetform.platforms.kubernetes.model import FleetPlan, WorkloadPlan
    from fleetform.resolve import Fleet, Resolved

Named = TypeVar("Named", bound=Any)
"""Something with a namespace and a name."""
SCRIPTED = "scripted"
IN_MEMORY = "in-memory"
USER = "me"
"""Whose memories they are where callers are not told apart."""
_HERE = "http://localhost"
_REFERENCE = re.compile(rf"{re.escape(SECRETS)}/([^/]+)/([^/]+)")


def refuse(message: str, hint: str) -> NoReturn:
    """Print an error and exit."""
    typer.echo(f"error: {message}\n  hint: {hint}", err=True)
    raise typer.Exit(PROBLEMS)


def agent_of(
    name: str,
    env: str,
    agents: list[Path],
    environments: Path,
    form: Format,
    *,
    with_documents: bool = False,
) -> WorkloadPlan:
    """Return the plan of an agent that uses the generic runtime.

    `with_documents`: its searches have their collections on this machine, whatever store the spec names.
    """
    fleet, plan = planned(env, agents, environments, form)
    if with_documents:
        documents.bring_here(fleet)
        plan = pipeline.bound(fleet, changed=True)[0] or plan
    return chosen(plan, name, env)


def planned(
    env: str, agents: list[Path], environments: Path, form: Format
) -> tuple[Fleet, FleetPlan]:
    """Return a fleet and its plan; exit if it has errors."""
    specs, spaces = pipeline.read(agents), pipeline.read([environments])
    fleet, problems = pipeline.fleet_of(specs, spaces, env, str(environments))
    plan, said = pipeline.bound(fleet) if fleet else (None, [])
    if fleet is None or plan is None or errors([*problems, *said]):
        stop([*problems, *said], form)
    return fleet, plan


def workflow_of(fleet: Fleet, name: str, env: str) -> Resolved[WorkflowSpec]:
    """Return a workflow by its name, or namespace/name; exit if there is none."""
    return _only(fleet.of(kinds.WORKFLOW), name, "workflow", f"in {env}")


def store_of(fleet: Fleet, name: str, env: str) -> Resolved[MemoryStoreSpec]:
    """Return a MemoryStore by its name, or namespace/name; exit if there is none."""
    return _only(fleet.of(kinds.MEMORY_STORE), name, "MemoryStore", f"in {env}")


def chosen(plan: FleetPlan, name: str, env: str) -> WorkloadPlan:
    """Return the plan of an agent by its name, or namespace/name; exit if there is none."""
    own = [item for item in plan.workloads if item.component == "agent"]
    served = [item for item in own if item.config and SETTINGS in item.config.data]
    return _only(served, name, "agent", f"in {env} that the generic runtime can serve")


def _only(known: Iterable[Named], name: str, noun: str, where: str) -> Named:
    """Return the one of a name, or namespace/name; exit if there is none, or several are."""
    space, _, short = name.rpartition("/")
    listed = [*known]
    found = [item for item in listed if item.name == short and space in ("", item.namespace)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{item.namespace}/{item.name}" for item in found)
        refuse(f"several {noun}s are named `{short}`", f"be specific: {names}")
    hint = did_you_mean(short, [item.name for item in listed], noun=f"{noun}s")
    return refuse(f"there is no {noun} `{name}` {where}", hint)


@dataclass
class Local:
    """The configuration for a laptop, and what was changed in it."""

    document: dict[str, Any]
    prompts: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """By name in `environment`: the variable of this machine that has the value."""
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def localised(
    plan: WorkloadPlan,
    env_file: Path | None,
    *,
    model: str | None,
    memory: str | None,
    trusted: list[str] | None,
    keep_auth: bool = False,
    keep_tracing: bool = False,
    with_documents: bool = False,
    several: bool = False,
) -> Local:
    """Return an agent's configuration for a laptop, report what was changed, and ask for what it sends.

    What is reported names the agent where `several` are started.

    With the scripted model nothing leaves the machine: no real value is used but for callers' keys, and
    tools elsewhere are left out.
    """
    try:
        values = known_values(env_file)
    except EnvFileError as error:
        refuse(str(error), error.hint)
    data = dict(plan.config.data) if plan.config else {}
    document = json.loads(data.pop(SETTINGS))
    if with_documents and not documents.collections(document):
        refuse(
            f"{document['agent']['name']} has no retrieval tool, which --documents is for",
            "add a Tool of type retrieval to its `tools` (docs/knowledge.md), or omit --documents",
        )
    local = Local(document, data)
    _start_here(local, plan)
    _simplify(local, model, memory, keep_auth=keep_auth, keep_tracing=keep_tracing)
    if model == SCRIPTED:
        _stay_here(local)
    for name, part in local.document.items():
        stand_in = model == SCRIPTED and name != "auth"
        local.document[name] = with_values(local, part, {} if stand_in else values, stand_in)
    show(local, of=f"{document['agent']['name']}: " if several else "")
    if model != SCRIPTED:
        sent = trust.uses(local.document)
        named = [
            use._replace(variable=local.sources.get(use.variable, use.variable)) for use in sent
        ]
        trust.agree(named, trusted or ())
    return local


def _start_here(local: Local, plan: WorkloadPlan) -> None:
    """Have the runtime start MCP servers that have a container of their own in a pod, and its card say that it is here."""
    local.document.pop("a2a", None)
    containers = {item["command"][-1]: item for item in plan.init_containers if item.get("command")}
    for server in local.document.get("mcpServers", []):
        if server["transport"] != "pipes":
            continue
        container = containers[server.pop("directory")]
        words = [*container["command"][len(BESIDE) + 1 :], *container.get("args", [])]
        server["transport"] = "stdio"
        server["command"] = [_unescaped(word) for word in words]
        server["env"] = {}
        for variable in container.get("env", []):
            _give(local, server, variable)
        if container.get("envFrom"):
            local.notes.append(f"{server['name']}: without the variables of `envFrom`")
        local.notes.append(_started(server["name"]))


def _started(name: str) -> str:
    return f"{name}: started on this machine, not from its image"


def _give(local: Local, server: dict[str, Any], variable: dict[str, Any]) -> None:
    """Give a variable of a container to a server that is started here."""
    name, source = variable["name"], variable.get("valueFrom", {})
    if "secretKeyRef" in source:
        reference = source["secretKeyRef"]
        server["env"][name] = {"file": f"{SECRETS}/{reference['name']}/{reference['key']}"}
    elif source:
        local.notes.append(f"{server['name']}: without {name}, which only a cluster knows")
    else:
        server["env"][name] = _unescaped(variable.get("value", ""))


def _unescaped(text: str) -> str:
    """Return a text as the kubelet leaves it."""
    return text.replace("$$", "$")


def _is_here(item: dict[str, Any]) -> bool:
    """Whether a tool or a server is on this machine, or nowhere."""
    addresses = (item[name] for name in ("endpoint", "url", "card") if name in item)
    return all(trust.is_local(address) for address in addresses)


def _stay_here(local: Local) -> None:
    """Leave out what the runtime would connect to on another machine."""
    document = local.document
    for member in ("tools", "mcpServers"):
        there = [item for item in document.get(member, []) if not _is_here(item)]
        local.notes += [f"{item['name']}: left out, it is on another machine" for item in there]
        document[member] = [item for item in document.get(member, []) if _is_here(item)]
    for server in document["mcpServers"]:
        if "command" in server:
            local.notes.remove(_started(server["name"]))
            local.notes.append(
                f"{server['name']}: left out, it is a program that could connect anywhere"
            )
    document["mcpServers"] = [item for item in document["mcpServers"] if "command" not in item]
    tracing = document["observability"].get("tracing", {})
    if not trust.is_local(tracing.get("endpoint", _HERE)):
        local.notes.append("tracing: off, its collector is on another machine")
        del document["observability"]["tracing"]
    callers = document["auth"]
    if not trust.is_local(callers.get("jwksUrl", callers.get("issuer", _HERE))):
        refuse(
            "--keep-auth fetches keys of tokens from another machine, --model scripted keeps to this one",
            "omit one of them",
        )


def _simplify(
    local: Local, model: str | None, memory: str | None, *, keep_auth: bool, keep_tracing: bool
) -> None:
    document = local.document
    kept = document.get("memory", {}).get("type", IN_MEMORY)
    elsewhere = kept not in (IN_MEMORY, NO_MEMORY)
    if (elsewhere and memory is None and model == SCRIPTED) or memory == IN_MEMORY != kept:
        policy = document["memory"].get("policy")
        document["memory"] = {"type": IN_MEMORY} | ({"policy": policy} if policy else {})
        local.notes.append(f"memory: in-memory instead of {kept}")
    elif kept == "filesystem":
        path = Path(".fleetform", document["agent"]["name"], "sessions").absolute()
        document["memory"]["path"] = str(path)
        local.notes.append(f"memory: {path}")
    if not keep_auth and document["auth"]["type"] != "none":
        local.notes.append(f"auth: none instead of {document['auth']['type']} (--keep-auth)")
        document["auth"] = {"type": "none"}
        if document.pop("approvals", None):
            local.notes.append("approvals: by whoever asks (--keep-auth)")
    if document.get("approvals", {}).pop("webhook", None):
        local.notes.append("approvals: the webhook is not told")
    if document.get("approvals") == {}:
        del document["approvals"]
    documents.keep_here(local.document, by_words=model == SCRIPTED, notes=local.notes)
    _remember_here(local, model)
    seen = document.setdefault("observability", {})
    if not keep_tracing and seen.pop("tracing", None):
        local.notes.append("tracing: off (--keep-tracing)")
    seen.setdefault("logging", {})["format"] = "text"


def _remember_here(local: Local, model: str | None) -> None:
    """Remember the one user of a laptop, with the scripted model by words alone if vectors are made elsewhere."""
    section = local.document.get("longTermMemory")
    if section is None:
        return
    if local.document["auth"]["type"] == "none":
        section.setdefault("user", USER)
    vectors = section.get("embedding", {"endpoint": _HERE})
    if model == SCRIPTED and not trust.is_local(vectors.get("endpoint", "")):
        del section["embedding"]
        local.notes.append("memories: compared by words, without their embedding")


def with_values(local: Local, node: Any, values: dict[str, str], stand_in: bool) -> Any:
    """Replace references to mounted files with references to environment variables; note what is missing."""
    if isinstance(node, list):
        return [with_values(local, item, values, stand_in) for item in node]
    if not isinstance(node, dict):
        return node
    found = _REFERENCE.fullmatch(node["file"]) if set(node) == {"file"} else None
    if found is None:
        return {key: with_values(local, item, values, stand_in) for key, item in node.items()}
    names = variables(*found.groups())
    value = lookup(values, *found.groups())
    if value is None and stand_in:
        value = f"placeholder-of-{found[1]}-{found[2]}"
        local.notes.append(f"secret {found[1]}/{found[2]}: a placeholder")
    if value is None:
        local.missing.append(
            f"secret {found[1]}, key {found[2]}: set {' or '.join(reversed(names))}"
        )
        return node
    local.environment[names[0]] = value
    local.sources[names[0]] = next((name for name in names if values.get(name)), names[0])
    return {"env": names[0]}


def check_port(port: int) -> None:
    """Exit if a port of this machine is taken: another server would answer in the agent's place."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(("127.0.0.1", port))
        except OSError as error:
            refuse(f"port {port}: {error.strerror}", "choose another one with --port")


def _ingest(local: Local, config: Path, folder: Path) -> None:
    """Take a folder of documents into the collections of the agent, with the real runtime; exit if that fails."""
    for tool in documents.collections(local.document):
        command = [sys.executable, "-m", "fleetform_runtime", "ingest", "--config", str(config)]
        command += ["--tool", tool, "--prune", str(folder.absolute())]
        done = subprocess.run(  # noqa: S603 - this Python, our own module
            command, env={**os.environ, **local.environment}, check=False, stdout=sys.stderr
        )
        if done.returncode:
            refuse(
                f"the documents in {folder} were not all taken in",
                "mend or remove what is named above",
            )


@contextmanager
def serving(
    local: Local, at: int | socket.socket, *, model: str | None, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the real runtime in a subprocess until the block ends, on a port, or in silence on a socket that is bound, which it takes over."""
    if find_spec("fleetform_runtime") is None:
        refuse(
            "the runtime is not installed",
            "in a clone of Fleetform: `make .venv/.dev`, or `pip install ./runtime` next to the generator",
        )
    with tempfile.TemporaryDirectory(prefix="fleetform-") as place:
        for name, text in local.prompts.items():
            Path(place, name).write_text(text, "utf-8")
        config = Path(place, "agent.json")
        config.write_text(json.dumps(local.document), "utf-8")
        if folder is not None:
            _ingest(local, config, folder)
        command = [sys.executable, "-m", "fleetform_runtime", "serve", "--config", str(config)]
        command += ["--model", model] if model else []
        with started(command, local, at) as process:
            yield process


def bound() -> tuple[socket.socket, str]:
    """Return a socket on a free port, to be passed on, and its URL: a port that was only looked for could be another process's by then."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made, f"http://127.0.0.1:{made.getsockname()[1]}"


@contextmanager
def started(
    command: list[str], local: Local, at: int | socket.socket
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that serves until the block ends, on a port, or in silence on a socket that is bound, which it takes over."""
    given = () if isinstance(at, int) else (at.fileno(),)
    place = ["--port", str(at)] if isinstance(at, int) else ["--fd", str(at.fileno())]
    process = subprocess.Popen(  # noqa: S603 - this Python, our own module
        [*command, "--host", "127.0.0.1", *place, "--metrics-port", "0"],
        env={**os.environ, **local.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if given else None,
        pass_fds=given,
        start_new_session=True,
    )
    if not isinstance(at, int):
        at.close()  # or it would be open when the runtime is gone
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def show(local: Local, of: str = "") -> None:
    """Print what was changed for a laptop, each line after what it is of; exit if something is missing."""
    for note in dict.fromkeys(local.notes):
        typer.echo(f"note: {of}{note}", err=True)
    if local.missing:
        for line in dict.fromkeys(local.missing):
            typer.echo(f"error: {of}{line}", err=True)
        hint = "set them in the environment or in .env; --model scripted needs none"
        typer.echo(f"  hint: {hint}", err=True)
        raise typer.Exit(PROBLEMS)
