"""Where a fleet can run: one package per platform, independent of the others."""
