"""MCP client: protocol 2026-07-28 and older versions, over HTTP, SSE, stdio and pipes."""
