"""NATS over WebSockets, which `sparkplug/lean_nats.py` leaves out until it is asked for."""

from __future__ import annotations

import importlib


def take_websockets() -> None:
    """Give nats-py what it needs for them. Raises ImportError where aiohttp is not installed."""
    transport = importlib.import_module("nats.aio.transport")
    for name in ("aiohttp", "multidict"):
        setattr(transport, name, importlib.import_module(name))
