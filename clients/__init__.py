"""Clients that anyone may copy: they need the generated `chatkit.*` and public packages, and nothing of services."""
