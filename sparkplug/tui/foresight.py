"""What a command would do, told while one types: also that what it names is not there.

A name that is seen on the screen is not asked about; any other is looked for in the mesh, once
typing pauses, by what would be asked before it is done (`Action.check`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.commands import Command, lacking
from sparkplug.tui.preview import calls_line

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action, Argument
    from sparkplug.tui.store import Store

#: Typing has paused when nothing was typed for so long.
_PAUSE_S = 0.15
#: The mesh is asked for so long.
_ASKED_S = 5.0

Calls = Sequence[Mapping[str, Any]]


class _Runs(Protocol):
    """A widget, a screen: what work is run by."""

    def run_worker(self, work: Any, *, group: str, exclusive: bool) -> object: ...


class Foresight:
    """For one place where a command is typed: `owner` runs the work, `show` draws anew with it."""

    def __init__(self, store: Store, owner: _Runs, show: Callable[[], None]) -> None:
        self._store = store
        self._owner = owner
        self._show = show
        #: What was asked about last, and what came of it: None while that is not known.
        self._asked = ""
        self._found: Line | None = None

    def line(self, command: Command, calls: Calls) -> Line:
        """What a command would do, once for each of `calls`; or that it is for nothing there is."""
        unseen = self._unseen(command, calls)
        if not unseen:
            return calls_line(command, calls)
        kind, name = unseen[0]
        asked = f"{command.words} {[sorted(given.items()) for given in calls]!r}"
        if self._store.link.state != "live":
            return (("warn", f" no connection: it is not known whether there is {kind} {name}"),)
        if asked != self._asked:
            self._asked, self._found = asked, None
            work: Callable[[], Coroutine[Any, Any, None]] = partial(
                self._ask, asked, command, [dict(given) for given in calls]
            )
            self._owner.run_worker(work, group="foresight", exclusive=True)
        return self._found or (("dim", f" is there {kind} {name}? …"),)

    def _unseen(self, command: Command, calls: Calls) -> list[tuple[str, str]]:
        """The kinds and names of what a command is for, and is not seen in the mesh."""
        action = command.action
        if action is None or action.check is None or command.why is not None:
            return []
        if not calls or lacking(action, calls[0]):
            return []
        found: list[tuple[str, str]] = []
        for argument in _of_things(action):
            seen = set(self._store.names(argument.kind))
            named = [str(given.get(argument.name, "")) for given in calls]
            found += [(argument.kind, one_line(name)) for name in named if name not in {*seen, ""}]
        return found

    async def _ask(self, asked: str, command: Command, calls: Calls) -> None:
        await asyncio.sleep(_PAUSE_S)
        found = await self._look(command, calls)
        if asked == self._asked:
            self._found = found
            self._show()

    async def _look(self, command: Command, calls: Calls) -> Line:
        import nats.errors

        from sparkplug.actions.registry import look_first

        client, action = self._store.client, command.action
        assert action is not None
        if client is None:
            return (("warn", " there is no connection to the mesh"),)
        try:
            async with asyncio.timeout(_ASKED_S):
                for given in calls:
                    # One by one: of several for which there is one request, too.
                    await look_first(client, action, [given])
        except SparkplugError as error:
            return (("bad", f" ✖ {one_line(error.message)}"),)
        except (TimeoutError, nats.errors.Error):
            return (("warn", " the mesh does not answer"),)
        return calls_line(command, calls)


def _of_things(action: Action) -> list[Argument]:
    """The arguments that name what an action is for: an agent, a run and another, … or a plan."""
    kinds = (action.target, "plan")
    return [one for one in action.arguments if one.required and one.kind in kinds]
