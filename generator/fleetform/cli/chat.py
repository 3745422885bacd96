"""`fleetform chat`: chat with an agent in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fleetform.cli import laptop, options
from fleetform.cli.conversation import Agent, ChatError, Conversation
from fleetform.cli.report import PROBLEMS, Format, reported
from fleetform.cli.run import Documents, EnvFile, Memory, Model, Trust, check

START_SECONDS = 30


@reported
def command(
    agent: Annotated[
        str,
        typer.Argument(
            metavar="AGENT|URL",
            help="URL of a running agent, or the name of one to start for this chat.",
        ),
    ],
    message: Annotated[
        list[str] | None,
        typer.Option(
            "--message",
            "-m",
            help="Send this message and exit; may be repeated.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", envvar="FLEETFORM_API_KEY", help="API key or token.", show_default=False
        ),
    ] = None,
    env: options.Env = options.ENV,
    model: Model = None,
    memory: Memory = None,
    env_file: EnvFile = None,
    trusted: Trust = None,
    documents: Documents = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """Chat with an agent.

    Answers are streamed and tool calls are shown; a call that needs human approval asks you. Leave
    with Ctrl-D.

    Examples:

      fleetform chat research-agent --model scripted

      fleetform chat https://agents.example.org/research-agent --key ...

      fleetform chat research-agent --model scripted -m "say 5 words"
    """
    try:
        if "://" in agent:
            _talk(Conversation(Agent(agent, key), _write, _ask), message)
            return
        check(model, memory)
        here = documents is not None
        plan = laptop.agent_of(agent, env, agents, environments, form, with_documents=here)
        local = laptop.localised(
            plan, env_file, model=model, memory=memory, trusted=trusted, with_documents=here
        )
        with served(local, model, documents) as url:
            _talk(Conversation(Agent(url, None), _write, _ask), message)
    except ChatError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(PROBLEMS) from None


@contextmanager
def served(
    local: laptop.Local,
    model: str | None,
    documents: Path | None = None,
    patience: float = START_SECONDS,
) -> Iterator[str]:
    """Serve an agent on a port of its own; yield its URL.

    Raises:
        ChatError: it is not ready after `patience` seconds.
    """
    bound, url = laptop.bound()
    with laptop.serving(local, bound, model=model, folder=documents) as process:
        Agent(url, None).wait(patience, lambda: process.poll() is None)
        yield url


def _talk(conversation: Conversation, messages: list[str] | None) -> None:
    fine = True
    for message in messages or _typed():
        if message.strip():
            fine = conversation.say(message)
    if not fine and (messages or not sys.stdin.isatty()):
        raise typer.Exit(PROBLEMS)


def _typed() -> Iterator[str]:
    """Yield lines typed by the user, or piped in."""
    prompt = "you> " if sys.stdin.isatty() else ""
    while True:
        try:
            yield _ask(prompt)
        except (EOFError, KeyboardInterrupt):
            _write("\n" if prompt else "")
            return


def _ask(question: str) -> str:
    return input(question)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
