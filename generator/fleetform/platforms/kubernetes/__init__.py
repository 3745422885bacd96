"""Kubernetes: its rules, objects, charts and targets, and what a live cluster holds."""
