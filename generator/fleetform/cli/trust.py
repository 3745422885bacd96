"""Which secrets of this machine an agent on a laptop may send to whom, and which programs it may start: its user is asked once.

A spec names both the secret and the address, so whoever runs somebody else's spec would hand out any variable
of theirs. What was agreed to is kept per folder, outside of it: a file in the folder could come with the spec.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from fleetform.contract import PROVIDERS
from fleetform.problems import printable
from fleetform.records import NamedTuple

ADDRESSES = ("tokenUrl", "endpoint", "url", "card")
"""Members of agent.json with the URL that the secrets beside and below them are sent to, the closest first."""


PROGRAM = ""
"""In place of a secret: the receiver itself is started."""


class Use(NamedTuple):
    """A secret that is sent somewhere, or a program that is started."""

    variable: str
    """Name of the environment variable that has it here, or PROGRAM."""
    receiver: str
    """Scheme and host of a URL, `redis://host:port`, a model provider with an API of its own, or a program and its arguments."""

    def __str__(self) -> str:
        """Return what the user is asked."""
        receiver = printable(self.receiver)
        return (
            f"starts {receiver}"
            if self.variable == PROGRAM
            else f"{printable(self.variable)} to {receiver}"
        )


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine and needs no name server to tell."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def uses(document: Any) -> Iterator[Use]:
    """Yield the secrets that a configuration of the runtime sends, `{"env": NAME}`, with their receivers, and what it starts."""
    for name, part in document.items():
        if name != "auth":  # keys of the callers, which are compared and not sent
            yield from _uses(part, name)


def _uses(node: Any, receiver: str) -> Iterator[Use]:
    if isinstance(node, list):
        for item in node:
            yield from _uses(item, receiver)
    elif isinstance(node, dict):
        if set(node) == {"env"} and isinstance(node["env"], str):
            yield Use(node["env"], receiver)
            return
        named = _receiver(node) or receiver
        if _program(node):
            yield Use(PROGRAM, named)
        if node.get("provider") == "bedrock" and "endpoint" in node:
            yield Use("the AWS credentials of this machine", named)
        for part in node.values():
            yield from _uses(part, named)


def _program(node: dict[str, Any]) -> str | None:
    words = node.get("command")
    return shlex.join(words) if isinstance(words, list) else None


def _receiver(node: dict[str, Any]) -> str | None:
    if program := _program(node):
        return program
    url = next((node[name] for name in ADDRESSES if isinstance(node.get(name), str)), None)
    if url is not None:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"
    if "host" in node and "type" in node:
        return f"{node['type']}://{node['host']}" + (f":{node['port']}" if "port" in node else "")
    provider = node.get("provider")
    return provider if provider in PROVIDERS else None


def agree(wanted: Iterable[Use], trusted: Iterable[str]) -> None:
    """Ask whether secrets may be sent, and programs started, where nobody agreed to yet; exit unless they may.

    `trusted` are receivers that the command line names. Without a terminal nobody can be asked: a refusal.
    """
    folder, known = str(Path.cwd().resolve()), _remembered()
    agreed = {Use(*pair) for pair in known.get(folder, [])}
    new = sorted({use for use in wanted if use.receiver not in {*trusted}} - agreed)
    if not new:
        return
    starts = any(use.variable == PROGRAM for use in new)
    more = ", or starts programs on it" if starts else ""
    typer.echo(f"The agent's spec sends secrets of this machine{more}:", err=True)
    for use in new:
        typer.echo(f"  {use}", err=True)
    if not sys.stdin.isatty():
        flags = " ".join(
            dict.fromkeys(f"--trust {shlex.quote(printable(use.receiver))}" for use in new)
        )
        typer.echo("error: nobody has agreed to that in this folder", err=True)
        typer.echo(
            f"  hint: run it once in a terminal and agree, or add {flags}; --model scripted sends nothing and starts none",
            err=True,
        )
        raise typer.Exit(1)
    if not typer.confirm("Agree to that, now and in future runs from this folder?", err=True):
        raise typer.Exit(1)
    known[folder] = sorted({*agreed, *new})
    _remember(known)


def _file() -> Path:
    return Path(typer.get_app_dir("fleetform")) / "agreed.json"


def _remembered() -> dict[str, list[Any]]:
    try:
        found = json.loads(_file().read_bytes())
        return {
            str(folder): [(str(variable), str(receiver)) for variable, receiver in pairs]
            for folder, pairs in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(known: dict[str, list[Any]]) -> None:
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    except OSError as error:
        typer.echo(f"warning: {file}: {error.strerror}; you will be asked again", err=True)
