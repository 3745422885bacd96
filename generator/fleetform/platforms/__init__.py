"""Where a fleet can run: one package per platform, each knowing its own words and nothing of the others."""
