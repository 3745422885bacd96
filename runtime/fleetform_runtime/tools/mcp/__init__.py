"""Speak to MCP servers: protocol 2026-07-28 and its elders, over HTTP, SSE and stdio."""
