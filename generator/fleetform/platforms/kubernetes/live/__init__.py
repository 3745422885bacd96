"""Access to a cluster, used only by `plan` and `gc`."""
