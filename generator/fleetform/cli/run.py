"""`fleetform run`: serve an agent of the fleet locally, with the real runtime."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from fleetform.cli import laptop, options
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
Agent = Annotated[
    str, typer.Argument(metavar="AGENT", help="Name of the agent, or namespace/name.")
]


@reported
def command(
    agent: Agent,
    env: options.Env = "dev",
    port: Annotated[int, typer.Option("--port", "-p", help="Port on 127.0.0.1.")] = 8080,
    model: Model = None,
    memory: Memory = None,
    env_file: EnvFile = None,
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
    """Serve an agent locally.

    Resolves the spec as `render` does and starts the runtime with the agent.json that a cluster
    would mount. Secrets come from the environment or from .env: the key `api-key` of the secret
    `openai-api-key` is OPENAI_API_KEY_API_KEY, or in short OPENAI_API_KEY.

    Examples:

      fleetform run research-agent --model scripted

      OPENAI_API_KEY=... fleetform run research-agent --memory in-memory --port 9000
    """
    check(model, memory)
    plan = laptop.agent_of(agent, env, agents, environments, form)
    local = laptop.localised(
        plan,
        env_file,
        model=model,
        memory=memory,
        keep_auth=keep_auth,
        keep_tracing=keep_tracing,
    )
    typer.echo(f"{plan.name} on http://127.0.0.1:{port}, stop with Ctrl-C", err=True)
    typer.echo(f"  talk to it: fleetform chat http://127.0.0.1:{port}", err=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with laptop.serving(local, port=port, model=model, quiet=False) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            return
    if code:
        raise typer.Exit(PROBLEMS)


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
