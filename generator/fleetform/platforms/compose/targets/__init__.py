"""Built environments → files: one module per target of Compose."""
