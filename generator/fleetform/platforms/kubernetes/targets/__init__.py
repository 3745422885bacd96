"""Built environments → files: one module per target of Kubernetes, all of one shape."""
