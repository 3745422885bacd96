"""Kubernetes: its rules, objects, charts and targets, and access to a live cluster."""
