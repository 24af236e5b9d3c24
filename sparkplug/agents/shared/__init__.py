"""Shared processes: many light agents in one process, each a service of its own."""
