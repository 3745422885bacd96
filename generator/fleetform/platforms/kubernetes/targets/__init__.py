"""Built environments → files: one module per Kubernetes target, all with the same interface."""
