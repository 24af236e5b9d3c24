"""What agents keep on the mesh, found and deleted for them: each is told of its own alone.

Agents ask under their own name (`subjects.agent_service`), which the server sees to.
"""

from __future__ import annotations

import logging

import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.schema.checkpoint import KEPT, CheckpointsReply, CheckpointsRequest
from sparkplug.schema.errors import InvalidError

log = logging.getLogger(__name__)

_QUEUE = "checkpoints"
#: Subjects told of in one answer, and some more that belong to the last of them.
_MOST = 4000


class Checkpoints:
    """Answers about the checkpoints of every agent; each node of a mesh may be asked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def serve(self, services: Services) -> None:
        """Answer from now on."""
        subject = subjects.agent_service("*", "*", "checkpoints")
        await services.serve_named(subject, CheckpointsRequest, self._answer, queue=_QUEUE)

    async def _answer(self, subject: str, request: CheckpointsRequest) -> CheckpointsReply:
        agent, _ = subjects.agent_of_service(subject)
        prefix = f"sparkplug.checkpoint.{agent}."
        for token in (request.thread, request.ns, request.before, *request.ids):
            if token and (token != token.strip() or any(c in "*>. \t\r\n" for c in token)):
                raise InvalidError("that is no token of a subject")
        if request.verb == "delete":
            if not request.thread:
                raise InvalidError("name the thread whose checkpoints are to go")
            await self._delete(prefix, request)
            return CheckpointsReply()
        names = await self._names(prefix + _pattern(request))
        found = [name.removeprefix(prefix) for name in names]
        spare = 0
        if request.verb in ("latest", "trim"):
            ids = sorted({_id(name) for name in found if name.split(".")[2] == "c"})
            if request.verb == "trim":
                await self._trim(prefix, request, ids[:-KEPT])
                return CheckpointsReply()
            spare = max(0, len(ids) - KEPT) if len(ids) > 2 * KEPT else 0
            wanted = request.ids[0] if request.ids else (ids[-1] if ids else "")
            found = [name for name in found if _id(name) == wanted]
        found.sort(key=_id, reverse=True)
        if request.before:
            found = [name for name in found if _id(name) < request.before]
        most = _MOST
        while most < len(found) and _id(found[most]) == _id(found[most - 1]):
            most += 1
        return CheckpointsReply(found=found[:most], more=len(found) > most, spare=spare)

    async def _trim(self, prefix: str, request: CheckpointsRequest, ids: list[str]) -> None:
        """Delete the oldest of a thread's namespace."""
        if not (request.thread and request.ns):
            raise InvalidError("name the thread and the namespace whose oldest are to go")
        if ids:
            await self._delete(prefix, request.model_copy(update={"ids": ids}))
            log.info("thread %s: the %d oldest checkpoints go", request.thread, len(ids))

    async def _names(self, pattern: str) -> list[str]:
        try:
            info = await self._bus.js.stream_info(subjects.STREAM_CHECKPOINTS, pattern)
        except nats.js.errors.NotFoundError:
            return []
        # Pieces are found by what they are pieces of.
        return [name for name in info.state.subjects or {} if _kind(name) in ("c", "w")]

    async def _delete(self, prefix: str, request: CheckpointsRequest) -> None:
        place = f"{prefix}{request.thread}."
        if not request.ids:
            await self._purge(f"{place}{request.ns + '.' if request.ns else ''}>")
            return
        for id_ in request.ids:
            for pattern in (f"{place}{request.ns}.c.{id_}", f"{place}{request.ns}.*.{id_}.>"):
                await self._purge(pattern)

    async def _purge(self, pattern: str) -> None:
        await self._bus.js.purge_stream(subjects.STREAM_CHECKPOINTS, subject=pattern)


def _pattern(request: CheckpointsRequest) -> str:
    if request.ns and not request.thread:
        raise InvalidError("a namespace is one of a thread: name that")
    return ".".join([request.thread or "*", request.ns or "*", ">"])


def _id(name: str) -> str:
    return name.split(".", 4)[3]


def _kind(subject: str) -> str:
    # sparkplug.checkpoint.<agent>.<thread>.<ns>.<kind>
    parts = subject.split(".", 6)
    return parts[5] if len(parts) > 6 else ""
