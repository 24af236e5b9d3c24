"""Where CrewAI asks before it goes on: there a crew that is to stop is stopped."""

from __future__ import annotations

from typing import Any

from crewai.hooks.dispatch import InterceptionPoint, register

from sparkplug.agents.runtimes.crewai.turn import current_turn


def watch() -> None:
    """Look, before every model call, tool call and step, whether the crew is to stop."""
    points = (
        InterceptionPoint.PRE_MODEL_CALL,
        InterceptionPoint.PRE_TOOL_CALL,
        InterceptionPoint.PRE_STEP,
    )
    for point in points:
        register(point, _look)


def _look(_: Any) -> None:
    turn = current_turn()
    if turn is not None:
        turn.check()
