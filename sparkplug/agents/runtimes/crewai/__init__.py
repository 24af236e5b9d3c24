"""`runtime: crewai`: a crew file, a Crew, a function that returns one, or a @CrewBase class.

CrewAI is imported here and only here, by `quiet`: before anything else of this folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparkplug.agents.runtimes.crewai.quiet import import_quietly

import_quietly()

from sparkplug.agents.runtimes.crewai import hooks  # noqa: E402
from sparkplug.agents.runtimes.crewai.agent import CrewAgent  # noqa: E402
from sparkplug.agents.runtimes.crewai.asked import Inputs  # noqa: E402
from sparkplug.agents.runtimes.crewai.declared import Declared  # noqa: E402
from sparkplug.agents.runtimes.crewai.made import maker_of  # noqa: E402
from sparkplug.agents.runtimes.crewai.remembering import remember_here  # noqa: E402
from sparkplug.agents.runtimes.port import Runtime, Seat  # noqa: E402
from sparkplug.schema.crew import CrewFile  # noqa: E402
from sparkplug.schema.documents import load_document  # noqa: E402

remember_here()
hooks.watch()


async def load(target: Any, seat: Seat) -> Runtime:
    """The crew behind an entrypoint; a path is a crew file's. Raises InvalidError for none."""
    if isinstance(target, Path):
        file = load_document(target, CrewFile)
        declared = Declared(file, target)
        return CrewAgent(declared.crew, Inputs(file.placeholders, file.inputs), seat)
    maker = await maker_of(target)
    crew = maker()
    prepared = bool(crew.before_kickoff_callbacks)
    return CrewAgent(maker, Inputs(sorted(crew.fetch_inputs()), prepared=prepared), seat)
