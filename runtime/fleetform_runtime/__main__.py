"""Run the command line: python -m fleetform_runtime."""

import sys

from fleetform_runtime.cli import main

sys.exit(main())
