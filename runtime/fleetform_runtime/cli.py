"""The command line of the image: serve, check, ingest, forget, workflow, call, fleet, sandbox, schema."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fleetform_runtime import __version__
from fleetform_runtime.places import FILE, FLEET_FILE, FOLDER, WORKFLOW_FILE

CONFIG = f"{FOLDER}/{FILE}"
WORKFLOW = f"{FOLDER}/{WORKFLOW_FILE}"
FLEET = f"{FOLDER}/{FLEET_FILE}"
AGAIN = 75
"""Exit code of a run that goes on when it is started again: the store was away, or the process was told to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 on success, 1 for a problem with the configuration, 2 for a usage error."""
    options = _parser().parse_args(arguments)
    serves = options.command in ("serve", "fleet") or getattr(options, "action", "") == "serve"
    # As PID 1, which the image is, a process gets no signal that it has no handler for: it would
    # go on until it is killed. The server has its own handlers as soon as its loop runs.
    if serves:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
    elif options.command in _BROKEN_OFF:
        signal.signal(signal.SIGTERM, _BROKEN_OFF[options.command])
    if options.command in _WITHOUT_SETTINGS:
        return _WITHOUT_SETTINGS[options.command]()
    if options.command in _ELSEWHERE:
        module = import_module(f"fleetform_runtime.{_ELSEWHERE[options.command]}")
        return int(getattr(module, options.command)(options))
    return _serve(options) if options.command == "serve" else _check(options)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End before anything is served."""
    sys.exit(0)


def _break_off(number: int, frame: FrameType | None) -> NoReturn:
    """End before anything is taken in."""
    sys.exit(128 + number)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End before a run has begun: whoever started this may start it again."""
    sys.exit(AGAIN)


_ELSEWHERE = {
    "forget": "memories.command",
    "workflow": "workflows.command",
    "call": "workflows.call",
    "ingest": "knowledge.command",
    "fleet": "fleet.command",
}
"""Commands and the modules that have a function of each one's name; what one does not need is not imported."""
_BROKEN_OFF = {"workflow": _leave, "call": _leave, "ingest": _break_off}
"""What ends commands that serve nothing, before they have begun."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fleetform-runtime", description="Serve one agent, described by agent.json."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer requests until SIGTERM")
    check = commands.add_parser("check", help="load, resolve secrets, print problems")
    commands.add_parser("schema", help="print the JSON Schema of agent.json")
    ingest = commands.add_parser(
        "ingest", help="take documents into the collection of a retrieval tool"
    )
    forget = commands.add_parser(
        "forget", help="delete a user: sessions, memories, runs; prints how many"
    )
    _config_option(CONFIG, serve, check, ingest, forget)
    for command in (serve, check):
        command.add_argument(
            "--model",
            choices=["scripted"],
            help="answer by fixed rules, without key or network: for demonstrations and tests",
        )
    _ingest_options(ingest)
    _workflow_options(commands.add_parser("workflow", help="execute runs of a workflow"))
    commands.add_parser(
        "sandbox",
        help="run the one program that is sent to port 8080, in a pod that agent-sandbox makes",
    )
    _call_options(
        commands.add_parser("call", help="perform one part of a run that another engine executes")
    )
    fleet = commands.add_parser(
        "fleet", help="serve the page on which the agents of a fleet are found, until SIGTERM"
    )
    _config_option(FLEET, fleet)
    forget.add_argument(
        "--user",
        required=True,
        help="the user: the name of an API key, KEY/USER for one that a gateway names, the subject of a token",
    )
    check.add_argument(
        "--connect",
        action="store_true",
        help="also try every model (with a request of a few tokens), embedding, MCP server, store and issuer from "
        "here, and print one line each; exit 1 if one of them does not answer",
    )
    for command in (serve, fleet):
        _listening_options(command)
    return parser


def _config_option(where: str, *commands: argparse.ArgumentParser) -> None:
    for command in commands:
        command.add_argument(
            "--config",
            type=Path,
            default=Path(os.environ.get("FLEETFORM_CONFIG", where)),
            help=f"{Path(where).name}; default: $FLEETFORM_CONFIG, else {where}",
        )


def _listening_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", help="address to listen on, overrides server.host")
    serve.add_argument("--port", type=int, help="port, overrides server.port; 0 picks any free one")
    serve.add_argument(
        "--fd",
        type=int,
        help="descriptor of a socket that is bound already, in place of --host and --port: who starts "
        "the process knows its port, which nobody else can take meanwhile",
    )
    serve.add_argument(
        "--metrics-port", type=int, help="port of /metrics, overrides server.metricsPort"
    )


def _workflow_options(workflow: argparse.ArgumentParser) -> None:
    actions = workflow.add_subparsers(dest="action", required=True)
    run = actions.add_parser(
        "run",
        help="carry one run to its end and print it; exit 0 if it has succeeded, 1 if it has failed, 75 to be started "
        "again: it goes on where it stands",
    )
    serve = actions.add_parser("serve", help="execute runs, and answer requests, until SIGTERM")
    _config_option(WORKFLOW, run, serve)
    run.add_argument(
        "--name",
        default=os.environ.get("WORKFLOW_RUN"),
        help="name of the run; one that is there already is carried on, or shown if it is over. Default: $WORKFLOW_RUN, "
        "else a new one",
    )
    run.add_argument(
        "--input",
        action="append",
        metavar="NAME=VALUE",
        help="an input: the text itself if it is a string, else JSON; may be repeated",
    )
    run.add_argument("--input-file", type=Path, help="inputs as a JSON object")
    run.add_argument(
        "--status-file", type=Path, help="where to write how it ended, such as /dev/termination-log"
    )
    run.add_argument(
        "--format", choices=["text", "json"], default="text", help="form of what is printed"
    )
    _listening_options(serve)
    serve.add_argument(
        "--idle", action="store_true", help="answer requests, and execute nothing: to look at runs"
    )


def _call_options(call: argparse.ArgumentParser) -> None:
    _config_option(WORKFLOW, call)
    part = call.add_mutually_exclusive_group(required=True)
    part.add_argument(
        "--step",
        help="ask the agent of this step, and keep its outputs; exit 0 if it has succeeded, 1 if it has failed, 75 to be "
        "started again: the answer that was asked for is found",
    )
    part.add_argument("--result", action="store_true", help="make the result of the run")
    part.add_argument(
        "--notify",
        metavar="PHASE",
        help="tell the webhook of a run that ended so, unless it is Succeeded",
    )
    call.add_argument("--run", required=True, help="name of the run")
    call.add_argument(
        "--id",
        help="what agents know the run by: the same one is never asked twice. Default: the run's name",
    )
    call.add_argument(
        "--input",
        type=Path,
        help="JSON with `input` (an object, or a list of name and value as text), `steps` (outputs by step) and "
        "`failures`; default: nothing",
    )
    call.add_argument(
        "--out",
        type=Path,
        help="folder of the outputs, one file of JSON each; default: they are printed",
    )


def _ingest_options(ingest: argparse.ArgumentParser) -> None:
    ingest.add_argument(
        "--tool", help="the retrieval tool; needed only where the agent has several collections"
    )
    ingest.add_argument(
        "--prune",
        action="store_true",
        help="remove documents that are not among the paths any more",
    )
    ingest.add_argument(
        "--name", default="stdin.md", help="name of a document on standard input; default stdin.md"
    )
    ingest.add_argument(
        "paths", nargs="+", metavar="PATH", help="files and folders, or - for standard input"
    )


def _schema() -> int:
    from fleetform_runtime.schema import contract  # noqa: PLC0415

    sys.stdout.write(json.dumps(contract(), indent=2, ensure_ascii=False) + "\n")
    return 0


def _sandbox() -> int:
    from fleetform_runtime.code.inside import serve  # noqa: PLC0415 - a pod of its own

    return serve()


_WITHOUT_SETTINGS = {"schema": _schema, "sandbox": _sandbox}
"""Commands that read no configuration."""


def _check(options: argparse.Namespace) -> int:
    from fleetform_runtime import check  # noqa: PLC0415
    from fleetform_runtime.secrets import Secrets  # noqa: PLC0415
    from fleetform_runtime.settings import Settings  # noqa: PLC0415

    secrets = Secrets()
    settings, found = check.load(options.config, Settings)
    if settings is not None:
        folder = options.config.parent
        found = check.problems(settings, folder, secrets, models=options.model is None)
        found = [f"{options.config}: {line}" for line in found]
    for line in found:
        sys.stderr.write(f"error: {line}\n")
    if settings is None or found:
        return 1
    sys.stdout.write(f"{options.config}: fine\n")
    return _connect(settings, secrets) if options.connect else 0


def _connect(settings: Any, secrets: Any) -> int:
    import asyncio  # noqa: PLC0415
    import logging  # noqa: PLC0415

    from fleetform_runtime.connect import findings  # noqa: PLC0415

    logging.disable(logging.CRITICAL)  # what there is to say, the lines say
    found = asyncio.run(findings(settings, secrets))
    for finding in found:
        sys.stdout.write(f"{finding.line()}\n")
    return 0 if all(finding.ok for finding in found) else 1


def _serve(options: argparse.Namespace) -> int:
    """Start only if `check` finds no problems."""
    from fleetform_runtime import check  # noqa: PLC0415
    from fleetform_runtime.secrets import Secrets  # noqa: PLC0415
    from fleetform_runtime.settings import Settings  # noqa: PLC0415

    secrets = Secrets()
    settings, found = check.load(options.config, Settings)
    if settings is not None:
        found = check.problems(
            settings, options.config.parent, secrets, models=options.model is None
        )
        found = [f"{options.config}: {line}" for line in found]
    if settings is None or found:
        for line in found:
            sys.stderr.write(f"error: {line}\n")
        return 1
    from fleetform_runtime.start import start  # noqa: PLC0415

    return start(settings, options, secrets)


if __name__ == "__main__":
    sys.exit(main())
