"""`fleetform-runtime ingest`: takes documents into the collection of a tool."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from fleetform_runtime import check
from fleetform_runtime.forms import redactor
from fleetform_runtime.knowledge import KnowledgeError, build
from fleetform_runtime.knowledge.ingest import Ingest, Report, found
from fleetform_runtime.secrets import SecretMissingError, Secrets, references
from fleetform_runtime.sections.knowledge import Knowledge
from fleetform_runtime.sections.tools import RetrievalTool
from fleetform_runtime.settings import Settings


def ingest(options: argparse.Namespace) -> int:
    """Take documents in; return 0 if all of them are kept, 1 if some are not, 2 for a usage error."""
    settings, problems = check.load(options.config, Settings)
    if settings is None:
        return _refused(problems, 1)
    tool = _tool(settings, options.tool)
    if isinstance(tool, str):
        return _refused([tool], 2)
    missing = [f"{path}: no such file or folder" for path in options.paths
               if path != "-" and not Path(path).exists()]  # fmt: skip
    if missing:
        return _refused(missing, 2)
    secrets = Secrets()
    try:
        for _, reference in references(tool.knowledge):
            secrets.value(reference)
    except SecretMissingError as error:
        return _refused([str(error)], 1)
    try:
        report = asyncio.run(_run(tool.knowledge, secrets, options))
    except (asyncio.CancelledError, KnowledgeError) as error:
        # A Job that is evicted has not succeeded.
        ended = isinstance(error, asyncio.CancelledError)
        said = ENDED if ended else redactor(secrets.known)(str(error))
        return _refused([said], 128 + signal.SIGTERM if ended else 1)
    for line in report.failed:
        sys.stderr.write(f"error: {line}\n")
    sys.stdout.write(f"{tool.knowledge.store.collection}: {report.line()}\n")
    return 1 if report.failed else 0


def _refused(lines: list[str], code: int) -> int:
    for line in lines:
        sys.stderr.write(f"error: {line}\n")
    return code


def _tool(settings: Settings, name: str | None) -> RetrievalTool | str:
    """Return the tool whose collection is meant, or what is wrong."""
    tools = [tool for tool in settings.tools if isinstance(tool, RetrievalTool)]
    names = ", ".join(tool.name for tool in tools)
    if not tools:
        return f"{settings.agent.name} has no retrieval tool: there is nothing to ingest into"
    if name is not None:
        chosen = [tool for tool in tools if tool.name == name]
        return chosen[0] if chosen else f"there is no retrieval tool {name}; there are: {names}"
    if len({tool.knowledge.store for tool in tools}) > 1:
        return f"say whose collection is meant: --tool with one of {names}"
    return tools[0]


ENDED = "ended by a signal; what was taken in stays, run it again for the rest"


async def _run(knowledge: Knowledge, secrets: Secrets, options: argparse.Namespace) -> Report:
    task = asyncio.current_task()
    if task is not None:
        # Cancelled, everything is closed on the way; a handler that raises would leave the loop as it is.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    tokens = 0

    def spent(count: int, usd: float | None) -> None:
        nonlocal tokens
        del usd
        tokens += count

    store = build.store(knowledge.store, secrets)
    embedder = build.embedder(knowledge.embedding, secrets, spent)
    try:
        report = await Ingest(store, embedder, knowledge.embedding).run(
            found(options.paths, options.name), prune=options.prune
        )
    finally:
        await store.close()
        if embedder is not None:
            await embedder.close()
    report.tokens = tokens
    return report
