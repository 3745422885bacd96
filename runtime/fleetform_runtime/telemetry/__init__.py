"""Tell of what happens: metrics, traces, logs."""
