"""Starts a checked configuration: event loop, logs, sockets."""

import argparse
import asyncio
import gc
import logging
import socket
import sys

import uvloop

from fleetform_runtime import __version__
from fleetform_runtime.application import Application
from fleetform_runtime.forms import redactor
from fleetform_runtime.models.build import build as build_model
from fleetform_runtime.models.scripted import ScriptedModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.server import Process, bound
from fleetform_runtime.settings import Settings, read_prompt
from fleetform_runtime.store import UnsuitableStoreError
from fleetform_runtime.telemetry import logs

log = logging.getLogger(__name__)


def start(settings: Settings, options: argparse.Namespace, secrets: Secrets) -> int:
    """Serve until a signal; return the exit code."""
    logs.configure(settings.observability.logging, redactor(secrets.known))
    host = options.host or settings.server.host
    settings = settings.model_copy(
        update={"server": settings.server.model_copy(update={"host": host})}
    )
    port = settings.server.port if options.port is None else options.port
    metrics_port = (
        settings.server.metrics_port if options.metrics_port is None else options.metrics_port
    )
    try:
        main = bound(host, port) if options.fd is None else socket.socket(fileno=options.fd)
        metrics = bound(host, metrics_port)
    except OSError as error:
        sys.stderr.write(f"error: {host}:{port} and {metrics_port}: {error.strerror}\n")
        return 1
    prompt = read_prompt(settings, options.config.parent)
    scripted = options.model == "scripted"

    async def run() -> None:
        application = Application(
            settings,
            prompt,
            secrets,
            (lambda model, _: ScriptedModel(model.key, 0.02)) if scripted else build_model,
        )
        log.info(
            "%s %s serves %s on %s:%d, metrics on %d",
            "fleetform-runtime",
            __version__,
            settings.agent.name,
            host,
            main.getsockname()[1],
            metrics.getsockname()[1],
        )
        gc.collect()
        gc.freeze()  # what is created at start lives as long as the process
        await Process(application, main, metrics).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except UnsuitableStoreError as error:
        sys.stderr.write(f"error: {options.config}: memory: {error}\n")
        return 1
    return 0
