"""What all runs of one planner work with."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparkplug.bus.connection import Bus
from sparkplug.bus.results import Results
from sparkplug.plans.breakers import Breakers
from sparkplug.plans.children import Endings
from sparkplug.plans.replicas import Replicas
from sparkplug.plans.slots import Places


@dataclass
class Desk:
    """The planner's connection, its node, and what its runs share."""

    bus: Bus
    node: str
    replicas: Replicas
    endings: Endings = field(default_factory=Endings)
    breakers: Breakers = field(default_factory=Breakers)
    places: Places = field(init=False)
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places(self.bus)
        self.results = Results(self.bus)
