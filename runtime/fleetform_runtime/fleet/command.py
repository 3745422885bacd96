"""`fleetform-runtime fleet`."""

import argparse

from fleetform_runtime.check import begun
from fleetform_runtime.fleet.settings import FleetSettings
from fleetform_runtime.secrets import Secrets


def fleet(options: argparse.Namespace) -> int:
    """Serve the page of a fleet until a signal; return the exit code."""
    return begun(options, FleetSettings, _serve)


def _serve(settings: FleetSettings, options: argparse.Namespace, secrets: Secrets) -> int:
    from fleetform_runtime.fleet.application import FleetApplication  # noqa: PLC0415
    from fleetform_runtime.server import serve  # noqa: PLC0415

    def make(placed: FleetSettings) -> FleetApplication:
        return FleetApplication(placed, secrets)

    return serve(settings, options, secrets, f"the page {settings.page.name}", make)
