"""What a replica is wanted to be, and what it needs of the node it lives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sparkplug.agents.exits import Exit
from sparkplug.node.records import ProcessRecord
from sparkplug.schema.agent import DesiredAgent, ObservedAgent


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mesh wants of a replica on this node."""

    desired: DesiredAgent
    gpus: tuple[str, ...] = ()


class Host(Protocol):
    """What a replica needs of the node it lives on."""

    ready_timeout: float
    stop_timeout: float

    async def spawn(self, observed: ObservedAgent, wanted: Wanted) -> ProcessRecord:
        """Start a process for the replica."""
        ...

    async def exit_of(self, record: ProcessRecord) -> Exit:
        """How a process that ended ended."""
        ...

    async def drain(self, observed: ObservedAgent, seconds: float) -> None:
        """Tell the replica how long it may finish what it has in hand."""
        ...

    def forget(self, record: ProcessRecord) -> None:
        """Its process is gone."""
        ...

    def out_of_memory(self, record: ProcessRecord) -> bool:
        """Whether a process that ended was killed for its memory limit."""
        ...

    async def last_lines(self, record: ProcessRecord) -> str:
        """The end of what a process wrote."""
        ...

    def observe(self, observed: ObservedAgent) -> None:
        """Publish the replica's state."""
        ...

    def emit(self, name: str, observed: ObservedAgent, *, actor: str = "", **data: object) -> None:
        """Publish an event about the replica; `actor` did it, the node where it is empty."""
        ...
