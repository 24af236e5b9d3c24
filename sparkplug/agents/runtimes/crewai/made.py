"""A crew for each request, from whatever an entrypoint gave: a crew runs one request at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from crewai import Crew

from sparkplug.schema.errors import InvalidError

#: Makes a crew that nobody else uses.
Maker = Callable[[], Crew]

_HINT = "name a Crew, a function that returns one, a @CrewBase class, or a crew file"


async def maker_of(target: Any) -> Maker:
    """How crews are made of an entrypoint. Raises InvalidError when it is no crew."""
    if isinstance(target, Crew):
        return lambda: target.copy()
    if not callable(target):
        raise InvalidError(f"the entrypoint is a {type(target).__name__}, no crew", hint=_HINT)
    made = target()
    if inspect.isawaitable(made):
        # What it takes time for is done once; the crews of requests are copies.
        crew = _crew(await made)
        return lambda: crew.copy()

    def make() -> Crew:
        return _crew(target())

    _crew(made)
    return make


def _crew(made: Any) -> Crew:
    """The crew that was made, or that what was made has: a @CrewBase class has `crew()`."""
    if not isinstance(made, Crew) and callable(getattr(made, "crew", None)):
        made = made.crew()
    if not isinstance(made, Crew):
        raise InvalidError(f"the entrypoint gives a {type(made).__name__}, no crew", hint=_HINT)
    return made
