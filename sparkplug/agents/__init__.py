"""What an agent's author imports: `action`, `on`, `Request`, `Context`, `current`, `wait`, `Job`
and `Reply`.

The runtimes, the agent process and the zygote live beside it and are imported by the
node's children only. The names are looked up when first used, so that the parent process
can import its one small module of this room and stay tiny.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkplug.agents.authoring import action, on
    from sparkplug.agents.context import Context, Request, current
    from sparkplug.agents.talking import Job, Reply
    from sparkplug.agents.waiting import wait

__all__ = ["Context", "Job", "Reply", "Request", "action", "current", "on", "wait"]

_ROOMS = {
    "action": "authoring",
    "on": "authoring",
    "wait": "waiting",
    "Job": "talking",
    "Reply": "talking",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    room = _ROOMS.get(name, "context")
    return getattr(importlib.import_module(f"{__name__}.{room}"), name)
