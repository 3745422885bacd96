"""Plans and objects → files: one module per format, each a pure function to `{path: documents}`."""
