"""The HTTP API: input is validated, output is documented."""
