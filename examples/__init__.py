"""Handlers to copy from."""
