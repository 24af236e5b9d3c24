"""The threads a replica keeps, and the shape of its work, for who asks over the bus."""

from __future__ import annotations

import logging

from sparkplug.agents.runtimes.port import Drawn, Runtime, Stateful
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.thread import ThreadsReply, ThreadsRequest

log = logging.getLogger("sparkplug.agent")


class Threads:
    """Answers for one runtime. Raises NotFoundError where it has nothing of the kind."""

    def __init__(self, runtime: Runtime, agent: str) -> None:
        self._runtime = runtime
        self._agent = agent

    async def answer(self, request: ThreadsRequest) -> ThreadsReply:
        """Do what was asked."""
        runtime = self._runtime
        if request.verb == "graph":
            return ThreadsReply(graph=runtime.graph if isinstance(runtime, Drawn) else None)
        if not isinstance(runtime, Stateful):
            raise NotFoundError(
                f"{self._agent} keeps no state of its own that could be shown",
                hint="LangGraph agents do, with `checkpoints` other than none",
            )
        thread = request.thread
        match request.verb:
            case "list":
                return ThreadsReply(threads=(await runtime.threads())[: request.limit])
            case "history":
                return ThreadsReply(states=await runtime.history(thread, request.limit))
            case "update":
                log.info("%s changes the state of thread %s", request.by or "somebody", thread)
                state = await runtime.update(
                    thread, request.values, request.as_node, request.checkpoint
                )
                return ThreadsReply(states=[state])
            case "forget":
                log.info("%s forgets thread %s", request.by or "somebody", thread)
                await runtime.forget(thread)
                return ThreadsReply()
        return ThreadsReply(states=[await runtime.state(thread, request.checkpoint)])
