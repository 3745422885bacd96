"""Speak HTTP: what comes in is checked, what goes out is documented."""
