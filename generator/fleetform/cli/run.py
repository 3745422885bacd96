"""`fleetform run`: serve an agent of the fleet locally, with the real runtime."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from fleetform.cli import laptop, options
from fleetform.cli.conversation import Agent, ChatError
from fleetform.cli.report import PROBLEMS, USAGE, Format, reported

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="`scripted` answers by fixed rules, without key or network. Default: the spec's model.",
        show_default=False,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="`in-memory` instead of the spec's store; implied by --model scripted.",
        show_default=False,
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", help="File of NAME=value lines. Default: .env.", show_default=False),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        help="Receiver that may get the secrets the spec sends it, as shown when asked: "
        "`https://mcp.example.com`, or a provider's name. May be repeated; for scripts, which cannot be asked.",
        show_default=False,
    ),
]
Port = Annotated[int, typer.Option("--port", "-p", help="Port on 127.0.0.1.", min=1, max=65_535)]
Documents = Annotated[
    Path | None,
    typer.Option(
        "--documents",
        help="Folder of documents that the agent's retrieval tools search, in place of their stores; taken in before the start.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent, or namespace/name.")]


@reported
def command(
    agent: Name,
    env: options.Env = options.ENV,
    port: Port = 8080,
    model: Model = None,
    memory: Memory = None,
    env_file: EnvFile = None,
    trusted: Trust = None,
    documents: Documents = None,
    keep_auth: Annotated[
        bool, typer.Option("--keep-auth", help="Authenticate callers as the spec says.")
    ] = False,
    keep_tracing: Annotated[
        bool, typer.Option("--keep-tracing", help="Export traces as the spec says.")
    ] = False,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """Serve an agent locally, with its page at the address that is printed.

    Resolves the spec as `render` does and starts the runtime with the agent.json that a cluster
    would mount. Secrets come from the environment or from .env: the key `api-key` of the secret
    `openai-api-key` is OPENAI_API_KEY_API_KEY, or in short OPENAI_API_KEY. You are asked once per
    folder before a secret is sent to a host that the spec names; with --model scripted nothing
    leaves this machine.

    Examples:

      fleetform run research-agent --model scripted

      OPENAI_API_KEY=... fleetform run research-agent --memory in-memory --port 9000

      fleetform run customer-support-agent --model scripted --documents handbook
    """
    check(model, memory)
    laptop.check_port(port)
    code = 0
    with until_stopped():
        plan = laptop.agent_of(
            agent, env, agents, environments, form, with_documents=documents is not None
        )
        local = laptop.localised(
            plan,
            env_file,
            model=model,
            memory=memory,
            trusted=trusted,
            keep_auth=keep_auth,
            keep_tracing=keep_tracing,
            with_documents=documents is not None,
        )
        local.document.setdefault("server", {})["ui"] = True
        with laptop.serving(local, port, model=model, folder=documents) as process:
            url = f"http://127.0.0.1:{port}"
            announce(plan.name, url, process, f"talk to it: fleetform chat {url}")
            code = process.wait()
    if code:
        raise typer.Exit(PROBLEMS)


def announce(name: str, url: str, process: subprocess.Popen[bytes], next_step: str) -> None:
    """Print where an agent or a workflow answers, as soon as it does; nothing if it ends before."""
    with suppress(ChatError):
        Agent(url, None).wait(inf, lambda: process.poll() is None)
        typer.echo(f"{name} on {url}, stop with Ctrl-C", err=True)
        typer.echo(f"  its page: {url}/", err=True)
        typer.echo(f"  {next_step}", err=True)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Serve until SIGTERM or Ctrl-C ends the block, which is no failure."""
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt):
        yield


def check(model: str | None, memory: str | None) -> None:
    """Refuse values other than the known one."""
    for option, value, known in (
        ("--model", model, laptop.SCRIPTED),
        ("--memory", memory, laptop.IN_MEMORY),
    ):
        if value not in (None, known):
            typer.echo(f"error: {option} must be `{known}` or omitted, not `{value}`", err=True)
            raise typer.Exit(USAGE)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
