"""What an agent is told or asked, in words or as a typed action: arguments of each such verb."""

from __future__ import annotations

from sparkplug.actions.action import Argument


def text_or_action(what: str) -> tuple[Argument, Argument, Argument]:
    """The text, which an action makes needless, the action, and its input."""
    return (
        Argument("text", "text", what, required=True, default="", unless="action", stdin=True),
        Argument("action", "text", "call this typed action instead", flag="--action"),
        Argument(
            "inputs",
            "pairs",
            "input of the action, key=value",
            flag="--input",
            repeated=True,
            stdin=True,
        ),
    )
