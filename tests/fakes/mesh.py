"""Agents hosted by the stock AgentService in the test's own process, and who resolves them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synadia_ai.agent_service import AgentService, PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target

#: What an agent does: from the action (None for a prompt), its input and ids, to its answer.
Behaviour = Callable[["Asked"], Awaitable[Any]]


@dataclass(frozen=True)
class Asked:
    """One request an agent got."""

    text: str
    action: str | None
    input: Mapping[str, Any]
    ids: Mapping[str, Any]


class AgentFailureError(Exception):
    """Raised by a behaviour: the agent answers with this error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class HostedAgents:
    """Agents on one connection. `asked` has every request, in the order received."""

    bus: Bus
    asked: list[tuple[str, Asked]] = field(default_factory=list)
    capabilities: dict[str, str] = field(default_factory=dict)
    _services: dict[str, AgentService] = field(default_factory=dict)
    _resolver: Services | None = None

    async def host(self, name: str, behaviour: Behaviour, capability: str = "") -> None:
        """Put an agent on the bus."""
        service = AgentService(
            agent=name,
            owner="tester",
            session_name="0",
            nc=self.bus.nc,
            max_concurrent_prompts=8,
        )

        async def on_prompt(envelope: Envelope, stream: PromptStream) -> None:
            extras = envelope.extras
            asked = Asked(
                envelope.prompt,
                extras.get("action"),
                extras.get("input") or {},
                extras.get("sparkplug") or {},
            )
            self.asked.append((name, asked))
            try:
                answer = await behaviour(asked)
            except AgentFailureError as error:
                raise RequestRejectedError(error.code, error.message) from error
            await stream.send(json.dumps(answer) if asked.action else str(answer))

        service.on_prompt(on_prompt)
        await service.start()
        self._services[name] = service
        if capability:
            self.capabilities[name] = capability

    async def resolve(self) -> None:
        """Answer who is there, as nodes do."""
        self._resolver = Services(self.bus)

        async def answer(request: ResolveRequest) -> ResolveReply:
            found = [
                name
                for name in self._services
                if name == request.name
                or (request.capability and self.capabilities.get(name) == request.capability)
            ]
            return ResolveReply(
                targets=[
                    Target(
                        name=name,
                        replica="0",
                        owner="tester",
                        subject=subjects.prompt(name, "tester", "0"),
                    )
                    for name in found
                ]
            )

        await self._resolver.serve(subjects.AGENTS_RESOLVE, ResolveRequest, answer)
        await self.bus.flush()

    async def names(self) -> set[str]:
        """The names there are."""
        return set(self._services)

    async def close(self) -> None:
        """Take all agents off the bus."""
        if self._resolver is not None:
            await self._resolver.close()
        for service in self._services.values():
            await service.stop()
