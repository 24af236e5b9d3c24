"""Why an agent is slow or failed, with what helps: each by its key, from this page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.recovery import remedies
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.commands import Command
from sparkplug.tui.dialogs.notes import Note
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.page import Layout

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent

#: What shows a log, by the id it has among what helps; and the id of its key.
LOGS: dict[str, tuple[Any, str]] = {
    "agents.logs": ("logs", "logs"),
    "agents.logs.previous": ("previous", "previous-logs"),
}


class AgentWhy(Note):
    """What is known, below what can be done about it."""

    def __init__(
        self,
        layout: Layout,
        topics: frozenset[str],
        opened: Opened,
        found: Callable[[], tuple[Sequence[ObservedAgent], DesiredAgent | None]],
    ) -> None:
        super().__init__(f"why {opened.name}", self._with_help, topics, opened)
        self._known = layout
        self._found = found
        self._bound: set[str] = set()

    def _helps(self) -> dict[str, tuple[str, ObservedAgent]]:
        """Ids of what helps, with their words and the first replica that each helps."""
        agents, wanted = self._found()
        helps: dict[str, tuple[str, ObservedAgent]] = {}
        for agent in agents:
            for name, words in remedies(agent, wanted):
                helps.setdefault(name, (words, agent))
        return helps

    def _with_help(self, width: int) -> list[Line]:
        rows: list[Line] = []
        spans: list[Span] = []
        for name, (words, _) in self._helps().items():
            key = self.centre.key(LOGS[name][1] if name in LOGS else name)
            if not key:
                continue
            self._bind(name)
            if sum(len(text) for _, text in spans) + len(key) + len(words) + 4 > width:
                rows.append(tuple(spans))
                spans = []
            spans += [("focus", f"{key} "), ("text", f"{words}   ")]
        rows += [tuple(spans), ()] if spans else []
        return [*rows, *self._known(width)]

    def _bind(self, name: str) -> None:
        if name in self._bound:
            return
        self._bound.add(name)
        keys = self.centre.keys_of(LOGS[name][1] if name in LOGS else name)
        self._bindings.bind(keys, f"help_with({name!r})", show=False)

    async def action_help_with(self, name: str) -> None:
        """Do what helps."""
        from sparkplug.actions.registry import ACTIONS

        found, centre = self._helps().get(name), self.centre
        if found is None:
            centre.tell("that helps no longer", "dim")
            return
        self.dismiss(None)
        agent = found[1]
        if name in LOGS:
            centre.open_thing(Opened(LOGS[name][0], "agent", agent.name, agent.replica))
            return
        action = ACTIONS[name]
        words = " ".join(action.verb)
        await centre.do(Command(action.title, words, action=action), [{"agent": agent.name}])
