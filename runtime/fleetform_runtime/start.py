"""Starts a checked agent.json."""

import argparse

from fleetform_runtime.application import Application
from fleetform_runtime.models.build import build as build_model
from fleetform_runtime.models.scripted import ScriptedModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.server import serve
from fleetform_runtime.settings import Settings, read_prompts


def start(settings: Settings, options: argparse.Namespace, secrets: Secrets) -> int:
    """Serve until a signal; return the exit code."""
    prompts = read_prompts(settings, options.config.parent)
    scripted = options.model == "scripted"

    def make(placed: Settings) -> Application:
        return Application(
            placed,
            prompts,
            secrets,
            (lambda model, _: ScriptedModel(model.key, 0.02)) if scripted else build_model,
        )

    return serve(settings, options, secrets, settings.agent.name, make)
