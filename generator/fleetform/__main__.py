"""`python -m fleetform` is the command `fleetform`."""

from fleetform.cli import script

script()
