"""Which pane is in sight. One is mounted when it is first looked at."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Container

from sparkplug.tui.panes.overview import Overview
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.shell.part import Part
from sparkplug.tui.store import ALL


class Panes(Part):
    """The panes there are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._panes: dict[str, Pane] = {}
        self._area = Container(id="panes")
        super().__init__(*args, **kwargs)

    @property
    def pane(self) -> Pane | None:
        """The pane in sight."""
        return next((pane for pane in self._panes.values() if pane.display), None)

    async def action_pane(self, name: str) -> None:
        """Go to a pane."""
        app = self._centre
        app.note_place()
        app.close_dialogs()
        await self.show_pane(name)
        app.note_place()

    async def show_pane(self, name: str) -> None:
        """Bring a pane in sight; it is mounted when it is first looked at."""
        app = self._centre
        app.note_pane()
        if name not in self._panes:
            made = self._made(name)
            made.display = False
            await self._area.mount(made)
        for key, pane in self._panes.items():
            pane.display = key == name
        pane = self._panes[name]
        app.focus_now(pane.main)
        app.restore_pane(pane)
        pane.draw(ALL)
        pane.settle()
        app.call_after_refresh(self.draw_pane)
        app.draw_frame()

    def compose_panes(self, first: str) -> ComposeResult:
        """Where the panes are, with the first of them in it."""
        with self._area:
            yield self._made(first)

    def _made(self, name: str) -> Pane:
        self._panes[name] = made = _make(name)
        return made

    def draw_pane(self) -> None:
        """Draw all of the pane in sight."""
        if self.pane is not None:
            self.pane.draw(ALL)


def _make(name: str) -> Pane:
    if name == "workflows":
        from sparkplug.tui.panes.workflows import WorkflowsPane

        return WorkflowsPane()
    if name == "hosts":
        from sparkplug.tui.panes.hosts import HostsPane

        return HostsPane()
    if name == "agents":
        from sparkplug.tui.panes.agents import AgentsPane

        return AgentsPane()
    if name == "memory":
        from sparkplug.tui.panes.memory import MemoryPane

        return MemoryPane()
    if name == "topology":
        from sparkplug.tui.panes.topology import TopologyPane

        return TopologyPane()
    if name == "tasks":
        from sparkplug.tui.panes.tasks import TasksPane

        return TasksPane()
    return Overview()
