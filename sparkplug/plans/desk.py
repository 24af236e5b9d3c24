"""What all runs of one planner work with."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.results import Results
from sparkplug.bus.service import call
from sparkplug.plans.attempt import Find
from sparkplug.plans.breakers import Breakers
from sparkplug.plans.children import Endings
from sparkplug.plans.replicas import Replicas
from sparkplug.plans.slots import Places
from sparkplug.schema.agent import ResolveReply, ResolveRequest
from sparkplug.schema.errors import DeadlineError, NoMeshError

_RESOLVE_DEADLINE_S = 2.0


@dataclass
class Desk:
    """The planner's connection, its node, and what its runs share."""

    bus: Bus
    node: str
    replicas: Replicas
    #: Says who takes prompts: the node's own directory, or whoever answers on the bus.
    find: Find | None = None
    endings: Endings = field(default_factory=Endings)
    breakers: Breakers = field(default_factory=Breakers)
    places: Places = field(init=False)
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places(self.bus)
        self.results = Results(self.bus)

    async def resolve(self, request: ResolveRequest) -> ResolveReply:
        """Who takes prompts now. Raises NoMeshError when nobody can tell."""
        if self.find is not None:
            return await self.find(request)
        try:
            return await call(
                self.bus,
                subjects.AGENTS_RESOLVE,
                request,
                ResolveReply,
                deadline=_RESOLVE_DEADLINE_S,
            )
        except DeadlineError as error:
            raise NoMeshError(f"nobody says who takes prompts: {error.message}") from error
