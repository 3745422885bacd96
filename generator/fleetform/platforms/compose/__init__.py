"""Docker Compose: a fleet on one machine, for a laptop or a VM."""
