"""`fleetform workflow`: run workflows on this machine, and look at runs here or in a cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetform.cli import laptop, options, trust
from fleetform.cli.chat import served
from fleetform.cli.conversation import Agent, ChatError, events_of
from fleetform.cli.report import PROBLEMS, Format, reported
from fleetform.cli.run import EnvFile, Model, Port, Trust, announce, check, until_stopped
from fleetform.local_values import EnvFileError, known_values
from fleetform.names import LABEL
from fleetform.patterns import LABEL_NAME
from fleetform.problems import printable

if TYPE_CHECKING:
    from fleetform.models.workflow import WorkflowSpec
    from fleetform.platforms.kubernetes.model import FleetPlan
    from fleetform.resolve import Fleet, Resolved

NOWHERE = "http://127.0.0.1:9/a2a"
"""Where an agent is that nobody calls."""
START_SECONDS = 60

group = typer.Typer(
    help="""Run workflows, and look at their runs.

A workflow is named, and then it runs on this machine with its agents, and its runs are kept below .fleetform/; or it is
the URL of its API in a cluster (`serve`), such as http://localhost:8080 behind `kubectl port-forward svc/NAME 8080`.

Examples:

  fleetform workflow run research-report-workflow --model scripted --input topic=AI

  fleetform workflow serve research-report-workflow --model scripted

  fleetform workflow get http://localhost:8080
""",
    no_args_is_help=True,
)

Target = Annotated[
    str, typer.Argument(metavar="WORKFLOW|URL", help="Name of a workflow, or the URL of its API.")
]


def _run_name(value: str | None) -> str | None:
    """Refuse what is no run's name before it becomes part of a path."""
    if value is not None and (len(value) > LABEL or not re.fullmatch(LABEL_NAME, value)):
        raise typer.BadParameter(
            f"{value[:80]!a} is no name of a run: 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at "
            "both ends"
        )
    return value


RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.", callback=_run_name)]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="FLEETFORM_API_KEY", help="API key or token.", show_default=False),
]
Shown = Annotated[str, typer.Option("--format", help="`text`, or `json` for the whole status.")]


@group.command("run")
@reported
def run(
    workflow: Target,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="An input: the text itself if it is a string, else JSON. May be repeated.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the run; the same name goes on with the same run. Default: a new one.",
            callback=_run_name,
            show_default=False,
        ),
    ] = None,
    shown: Shown = "text",
    env: options.Env = options.ENV,
    model: Model = None,
    env_file: EnvFile = None,
    trusted: Trust = None,
    key: Key = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Run a workflow to its end, and show how it ended.

    On this machine its agents are started with it. Exit code 0 if the run has succeeded, 1 if it has failed, 2 if its
    inputs are wrong.

    Examples:

      fleetform workflow run research-report-workflow --model scripted --input topic=AI

      fleetform workflow run http://localhost:8080 --input topic=AI --name monday
    """
    check(model, None)
    if "://" in workflow:
        with _told():
            _begun(Api(workflow, key), given or [], name, shown)
        return
    flow = _here(workflow, env, agents, environments)
    words = [word for item in given or [] for word in ("--input", item)]
    words += ["--name", name] if name else []
    code = flow.executed(words, shown, model=model, env_file=env_file, trusted=trusted)
    if code:
        raise typer.Exit(code)


@group.command("serve")
@reported
def serve(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow.")],
    port: Port = 8080,
    env: options.Env = options.ENV,
    model: Model = None,
    env_file: EnvFile = None,
    trusted: Trust = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Serve a workflow and its agents on this machine, with its page at the address that is printed.

    On the page one begins runs, looks at their steps, and decides for those that wait for a person. Runs are those that
    `run` has begun here, too; an open one goes on. Nobody signs in: only this machine can reach it.

    Examples:

      fleetform workflow serve research-report-workflow --model scripted
    """
    check(model, None)
    laptop.check_port(port)
    code = 0
    with until_stopped():
        flow = _here(workflow, env, agents, environments)
        code = flow.served(port, model=model, env_file=env_file, trusted=trusted)
    if code:
        raise typer.Exit(PROBLEMS)


@group.command("get")
@reported
def get(
    workflow: Target,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="Name of a run. Default: list them.", callback=_run_name
        ),
    ] = None,
    shown: Shown = "text",
    env: options.Env = options.ENV,
    key: Key = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Show a run, or list the newest ones."""
    with _told(), _api(workflow, key, env, agents, environments) as api:
        if name is None:
            for item in api.asked("GET", "/runs?limit=50")["items"]:
                reason = f"  {item['reason']}" if item["reason"] else ""
                typer.echo(f"{item['phase']:<10} {printable(item['name'])}{reason}")
            return
        _show(api.asked("GET", f"/runs/{name}"), shown)


@group.command("logs")
@reported
def logs(
    workflow: Target,
    name: RunName,
    env: options.Env = options.ENV,
    key: Key = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Show what has happened to a run, and follow it to its end."""
    with _told(), _api(workflow, key, env, agents, environments) as api:
        before = ""
        for kind, data in api.followed(f"/runs/{name}/events"):
            said = [data.get(member, "") for member in ("name", "phase", "outcome", "reason")]
            said.append((data.get("error") or {}).get("message", ""))
            line = f"{kind:<12} {' '.join(printable(str(word)) for word in said if word)}"
            if line != before:
                typer.echo(line)
            before = line


@group.command("cancel")
@reported
def cancel(
    workflow: Target,
    name: RunName,
    env: options.Env = options.ENV,
    key: Key = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """End a run, and what its agents are at."""
    with _told(), _api(workflow, key, env, agents, environments) as api:
        api.asked("POST", f"/runs/{name}/cancel", {})
        typer.echo(f"run {printable(name)} is asked to end")


@group.command("retry")
@reported
def retry(
    workflow: Target,
    name: RunName,
    shown: Shown = "text",
    env: options.Env = options.ENV,
    model: Model = None,
    env_file: EnvFile = None,
    trusted: Trust = None,
    key: Key = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Begin a failed run again where it failed: steps that have succeeded are not repeated."""
    check(model, None)
    with _told(), _api(workflow, key, env, agents, environments) as api:
        found = api.asked("POST", f"/runs/{name}/retry", {})
        if "://" in workflow:
            _until_over(api, name, shown)
            return
    flow = _here(workflow, env, agents, environments)
    given = found["spec"].get("input", {})
    code = flow.executed(
        ["--name", name], shown, given=given, model=model, env_file=env_file, trusted=trusted
    )
    if code:
        raise typer.Exit(code)


# -- on this machine -----------------------------------------------------------------------------


class Here:
    """A workflow with its agents, as they run on this machine."""

    def __init__(
        self,
        workflow: Resolved[WorkflowSpec],
        env: str,
        fleet: Fleet,
        plan: FleetPlan,
        document: dict[str, Any],
    ) -> None:
        self._workflow = workflow
        self._env = env
        self._fleet = fleet
        self._plan = plan
        self.document = document

    def executed(
        self,
        words: list[str],
        shown: str,
        *,
        model: str | None,
        env_file: Path | None,
        trusted: list[str] | None,
        given: dict[str, Any] | None = None,
    ) -> int:
        """Start the agents, carry a run to its end, and return the exit code."""
        with self._with_agents(model, env_file, trusted) as local, _place(local) as config:
            if given is not None:
                inputs = config.with_name("input.json")
                inputs.write_text(json.dumps(given), "utf-8")
                words = [*words, "--input-file", str(inputs)]
            command = [*RUNTIME, "run", "--config", str(config), "--format", shown, *words]
            environment = {**os.environ, **local.environment}
            return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603

    def served(
        self, port: int, *, model: str | None, env_file: Path | None, trusted: list[str] | None
    ) -> int:
        """Start the agents, serve the page and execute runs until somebody stops it; return the exit code."""
        with self._with_agents(model, env_file, trusted) as local:
            local.document["server"]["ui"] = True
            with _place(local) as config:
                command = [*RUNTIME, "serve", "--config", str(config)]
                with laptop.started(command, local, port) as process:
                    url = f"http://127.0.0.1:{port}"
                    begin = f"begin a run: fleetform workflow run {url}"
                    announce(self._workflow.name, url, process, begin)
                    return process.wait()

    @contextmanager
    def looked_at(self) -> Iterator[str]:
        """Serve the API of the runs of this machine, without executing any; yield its URL."""
        local = self._localised(laptop.SCRIPTED, None, None)
        with _place(local) as config:
            command = [*RUNTIME, "serve", "--idle", "--config", str(config)]
            bound, url = laptop.bound()
            with laptop.started(command, local, bound) as process:
                Agent(url, None).wait(START_SECONDS, lambda: process.poll() is None)
                yield url

    @contextmanager
    def _with_agents(
        self, model: str | None, env_file: Path | None, trusted: list[str] | None
    ) -> Iterator[laptop.Local]:
        """Start the agents of all steps; yield the configuration, which has their addresses."""
        local = self._localised(model, env_file, trusted)
        with ExitStack() as running:
            for entry in local.document["agents"]:
                agent = laptop.chosen(self._plan, self._agent(entry["name"]), self._env)
                own = laptop.localised(
                    agent, env_file, model=model, memory=None, trusted=trusted, several=True
                )
                with _told():
                    url = running.enter_context(served(own, model, patience=START_SECONDS))
                entry["url"] = f"{url}/a2a"
            yield local

    def _agent(self, entry: str) -> str:
        """Return the agent of an entry of the configuration, which may be named by a step."""
        from fleetform.resolve import flows  # noqa: PLC0415 - a command that talks to a cluster needs no fleet

        entries = flows.entries(self._workflow)
        name = next(s.agent for s in self._workflow.spec.steps if entries[s.name] == entry)
        return f"{self._fleet.target_namespace(self._workflow.namespace)}/{name}"

    def _localised(
        self, model: str | None, env_file: Path | None, trusted: list[str] | None
    ) -> laptop.Local:
        """Return the configuration for this machine, report what was changed, and ask for what it sends."""
        local = laptop.Local(json.loads(json.dumps(self.document)), {})
        document, scripted = local.document, model == laptop.SCRIPTED
        folder = Path(".fleetform", "workflows").absolute()
        document["memory"] = {"type": "filesystem", "path": str(folder)}
        document["auth"] = {"type": "none"}
        document["server"] = {"host": "127.0.0.1"}
        document["observability"] = {"logging": {"format": "text", "level": "warning"}}
        for entry in document["agents"]:
            entry.pop("auth", None)
            entry["url"] = NOWHERE
        if scripted and document.pop("notification", None):
            document["definition"].pop("notify", None)
            local.notes.append("the webhook is not told of failures")
        try:
            values = {} if scripted else known_values(env_file)
        except EnvFileError as error:
            laptop.refuse(str(error), error.hint)
        local.document = laptop.with_values(local, document, values, scripted)
        laptop.show(local)
        if not scripted:
            trust.agree(trust.uses(local.document), trusted or ())
        return local


RUNTIME = (sys.executable, "-m", "fleetform_runtime", "workflow")


@contextmanager
def _place(local: laptop.Local) -> Iterator[Path]:
    """Yield the path of a configuration that is written for one process."""
    with tempfile.TemporaryDirectory(prefix="fleetform-") as folder:
        config = Path(folder, "workflow.json")
        config.write_text(json.dumps(local.document), "utf-8")
        yield config


def _here(name: str, env: str, agents: list[Path], environments: Path) -> Here:
    from fleetform.plan import workflows  # noqa: PLC0415 - a command that talks to a cluster needs no fleet
    from fleetform.platforms.kubernetes.bind import config  # noqa: PLC0415

    fleet, plan = laptop.planned(env, agents, environments, Format.TEXT)
    found = laptop.workflow_of(fleet, name, env)
    document = config.document_of(workflows.settings_of(fleet, found))
    return Here(found, env, fleet, plan, document)


# -- over HTTP -----------------------------------------------------------------------------------


class Api(Agent):
    """The HTTP API of a workflow."""

    def asked(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request."""
        with self._sent(method, path, body) as answer:
            return json.loads(answer.read())

    def followed(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the events of a run."""
        with self._sent("GET", path, None) as answer:
            yield from events_of(answer)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ChatError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(PROBLEMS) from None


@contextmanager
def _api(
    target: str, key: str | None, env: str, agents: list[Path], environments: Path
) -> Iterator[Api]:
    if "://" in target:
        yield Api(target, key)
        return
    with _here(target, env, agents, environments).looked_at() as url:
        yield Api(url, None)


def _begun(api: Api, given: list[str], name: str | None, shown: str) -> None:
    inputs: dict[str, Any] = {}
    for word in given:
        key, mark, text = word.partition("=")
        if not mark or not key:
            laptop.refuse(f"--input {word}", "write it as NAME=VALUE")
        inputs[key] = _value(text)
    body = {"input": inputs, **({"name": name} if name else {})}
    made = api.asked("POST", "/runs", body)
    _until_over(api, made["metadata"]["name"], shown)


def _value(text: str) -> Any:
    """Return JSON where it is some that is not text, otherwise the text."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(found, str) else found


def _until_over(api: Api, name: str, shown: str) -> None:
    for kind, data in api.followed(f"/runs/{name}/events"):
        if kind == "step" and shown == "text":
            typer.echo(f"{data.get('phase', ''):<10} {printable(data['name'])}", err=True)
    found = api.asked("GET", f"/runs/{name}")
    _show(found, shown)
    if found["status"]["phase"] != "Succeeded":
        raise typer.Exit(PROBLEMS)


def _show(found: dict[str, Any], shown: str) -> None:
    if shown == "json":
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    status = found["status"]
    for step in status["steps"]:
        error = step.get("error", {}).get("message", "")
        waits = step.get("reason", "")
        more = "  ".join(printable(word) for word in (waits, error) if word)
        typer.echo(f"{step['phase']:<10} {printable(step['name'])}{'  ' + more if more else ''}")
    ending = ": ".join(printable(status[name]) for name in ("reason", "message") if name in status)
    typer.echo(
        f"{status['phase']:<10} run {printable(found['metadata']['name'])}{', ' + ending if ending else ''}"
    )
