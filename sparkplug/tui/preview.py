"""What a command will do, in a line, before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.commands import Command, lacking

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action

_DANGER = "▲ "


def sentence(action: Action, given: Mapping[str, Any]) -> str:
    """What an action would do with these arguments; what it is for while some are missing."""
    due = lacking(action, given)
    if due:
        names = " and ".join(argument.name for argument in due)
        return f"{one_line(action.help)}; needs {names}"
    return one_line(action.preview(**given))


def preview_line(command: Command, given: Mapping[str, Any] | None = None) -> Line:
    """What a command would do; what ends work stands out, and says that it asks."""
    if command.why is not None:
        return (("warn", f" not now: {command.why}"),)
    if command.action is None:
        return (("dim", f" :{command.words}"),)
    text = sentence(command.action, command.given if given is None else given)
    if command.action.danger:
        return (("warn", f" {_DANGER}{text}; asks first"),)
    return (("dim", f" {text}"),)


def calls_line(command: Command, calls: Sequence[Mapping[str, Any]]) -> Line:
    """The same of a command that is done for several names."""
    first = preview_line(command, calls[0] if calls else None)
    more = len(calls) - 1
    return (*first, ("dim", f" (and {more} more)")) if more > 0 else first
