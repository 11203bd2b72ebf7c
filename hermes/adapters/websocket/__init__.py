"""The wire: one port for ACP clients, operators and health checks."""
