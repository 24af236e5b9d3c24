"""nats-py without aiohttp.

It imports aiohttp, for WebSockets, wherever that is installed (`nats/aio/transport.py`):
100 ms and 11 MiB for every face and every agent of an environment that has it for some other
reason. It does without where the import fails, so for that one module it fails.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

_TRANSPORT = "nats.aio.transport"


class _NotForNats:
    """A finder that finds nothing, and keeps one package from one module."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """None always. Raises ModuleNotFoundError for aiohttp, in the middle of that module."""
        if name == "aiohttp":
            transport = sys.modules.get(_TRANSPORT)
            if transport is not None and not hasattr(transport, "Transport"):
                raise ModuleNotFoundError("left out by SparkPlug", name=name)


def leave_websockets_out() -> None:
    """From now on; whoever else asks for aiohttp has it."""
    sys.meta_path.insert(0, _NotForNats)
