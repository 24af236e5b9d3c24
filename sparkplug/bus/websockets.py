"""NATS over WebSockets: what it needs is imported by those alone who are to use it.

nats-py imports aiohttp for it wherever that is installed (`nats/aio/transport.py`): 100 ms and
11 MiB for every face and every agent of an environment that has it for some other reason.
"""

from __future__ import annotations

import importlib
import sys

_NEEDED = "aiohttp"
_TRANSPORT = "nats.aio.transport"


def leave_websockets_out() -> None:
    """Import nats-py as if aiohttp were not there; whoever asks for aiohttp later has it."""
    if _NEEDED in sys.modules or _TRANSPORT in sys.modules:
        return
    sys.modules[_NEEDED] = None  # type: ignore[assignment]  # what makes an import of it fail
    try:
        importlib.import_module(_TRANSPORT)
    finally:
        del sys.modules[_NEEDED]


def take_websockets() -> None:
    """Give nats-py what it left out. Raises ImportError where aiohttp is not installed."""
    transport = importlib.import_module(_TRANSPORT)
    for name in (_NEEDED, "multidict"):
        setattr(transport, name, importlib.import_module(name))
