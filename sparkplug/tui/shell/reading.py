"""What opens over the panes to be read: descriptions, logs, runs, reasons, notices, help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.tui.places import Opened
from sparkplug.tui.shell.part import Part
from sparkplug.tui.shell.selected import subject_of
from sparkplug.tui.widgets.listing import Listing

if TYPE_CHECKING:
    from sparkplug.actions.registry import Subject
    from sparkplug.tui.dialogs.dialog import Dialog, Reading
    from sparkplug.tui.panes.overview import RunBox

_HELP = "help"


class Readings(Part):
    """Into what is selected."""

    def open_thing(self, opened: Opened) -> None:
        """Open something over the pane, and note that one is there now."""
        app = self._centre
        page = self._page(opened)
        if page is None:
            app.tell(f"{opened.name} is no longer here", "warn")
            return
        app.note_place()
        app.push_screen(page)

    def _page(self, opened: Opened) -> Dialog[None] | None:
        """The page of a thing; None when that is gone."""
        name = opened.name
        match opened.what:
            case "run":
                from sparkplug.tui.dialogs.run import RunPage

                return RunPage(name)
            case "task":
                from sparkplug.tui.dialogs.task import TaskPage

                return TaskPage(name)
            case "processes":
                from sparkplug.tui.dialogs.processes import Processes

                return Processes(name)
            case "topology":
                from sparkplug.tui.dialogs.host_topology import HostTopologyPage

                return HostTopologyPage(name)
            case "logs" | "previous":
                from sparkplug.tui.dialogs.logs import Logs

                return Logs(name, opened.replica, previous=opened.what == "previous")
            case "history":
                from sparkplug.tui.dialogs.spec_history import SpecHistory

                return SpecHistory(name)
            case "memory":
                from sparkplug.tui.dialogs.memory import MemoryReading

                return MemoryReading([name], name[:8], opened)
            case "pair":
                from sparkplug.tui.dialogs.memory import MemoryReading

                # A pair is named by its two ids.
                return MemoryReading(name.split("."), name, opened)
            case "schedule":
                return self._schedule(opened)
            case "why":
                return self._why(opened)
            case "question":
                return self._question(name)
            case "graph":
                from sparkplug.tui.dialogs.agent_graph import AgentGraphPage

                return AgentGraphPage(name)
            case "event":
                return self._event(opened)
        return self._agent(opened)

    def _agent(self, opened: Opened) -> Dialog[None]:
        from sparkplug.tui.dialogs.describe import agent_nodes
        from sparkplug.tui.dialogs.described import Described

        store, name, foreign = self._centre.store, opened.name, opened.foreign

        def nodes() -> Any:
            found = [a for a in store.agents if a.name == name and a.foreign is foreign]
            wanted = store.view.desired.get(name) if store.view and not foreign else None
            return agent_nodes(name, found, wanted)

        return Described(name, nodes, frozenset({"agents"}), opened)

    def _schedule(self, opened: Opened) -> Dialog[None]:
        from sparkplug.tui.dialogs.described import Described
        from sparkplug.tui.panes.schedule_lines import schedule_nodes

        store, name = self._centre.store, opened.name

        def nodes() -> Any:
            found = next((one for one in store.schedules if one.name == name), None)
            return schedule_nodes(found) if found is not None else []

        return Described(f"schedule {name}", nodes, frozenset({"schedules"}), opened)

    def _question(self, name: str) -> Dialog[None] | None:
        from sparkplug.tui.dialogs.question import QuestionPage

        view = self._centre.store.view
        found = view.questions.get(name) if view is not None else None
        return QuestionPage(found) if found is not None else None

    def action_graph(self) -> None:
        """The graph of the selected agent's work."""
        subject = self._centre.subject
        if subject is not None and subject.kind == "agent":
            self.open_thing(Opened("graph", "agent", subject.name))

    def _event(self, opened: Opened) -> Dialog[None] | None:
        from sparkplug.tui.dialogs.describe import event_nodes
        from sparkplug.tui.dialogs.described import Described

        view = self._centre.store.view
        events = view.events if view is not None else ()
        event = next((one for one in events if str(one.sequence) == opened.name), None)
        if event is None:
            return None
        return Described(event.name, lambda: event_nodes(event), opened=opened)

    def _why(self, opened: Opened) -> Reading:
        from sparkplug.tui.dialogs import why
        from sparkplug.tui.dialogs.notes import Note

        store, name = self._centre.store, opened.name

        def layout(width: int) -> Any:
            events = store.view.events if store.view else ()
            if opened.kind == "host":
                host = next((host for host in store.hosts if host.name == name), None)
                return why.host_why(host, events, width)
            if opened.kind == "run":
                run = next((run for run in store.runs if run.id == name), None)
                return why.run_why(run, events, width)
            foreign = opened.foreign
            found = [a for a in store.agents if a.name == name and a.foreign is foreign]
            wanted = store.view.desired.get(name) if store.view and not foreign else None
            return why.agent_why(name, found, wanted, store.hosts, events, width)

        if opened.kind == "agent":
            from sparkplug.tui.dialogs.agent_why import AgentWhy

            def known() -> Any:
                mine = [a for a in store.agents if a.name == name and a.foreign is opened.foreign]
                return mine, store.view.desired.get(name) if store.view else None

            shown = frozenset({"agents", "hosts", "telemetry", "events"})
            return AgentWhy(layout, shown, opened, known)
        topics = {"host": {"hosts", "telemetry"}}
        shown = frozenset({*topics.get(opened.kind, {"runs"}), "events"})
        return Note(f"why {name}", layout, shown, opened)

    def open_run(self, run: str) -> None:
        """Read a run."""
        self.open_thing(Opened("run", "run", run))

    def on_run_box_opened(self, event: RunBox.Opened) -> None:
        """Enter on the run."""
        self.open_run(event.run)

    def action_copy(self) -> None:
        """Copy the text that is selected, else the name of what the cursor is on."""
        subject = self._centre.subject
        if not self._centre.copy_selection() and subject is not None:
            self._centre.copy(subject.name)

    def action_logs(self) -> None:
        """Follow the log of the selected agent."""
        self._open_log("logs")

    def action_previous(self) -> None:
        """Read what the agent's process before this one wrote."""
        self._open_log("previous")

    def _open_log(self, what: Any) -> None:
        subject = self._centre.subject
        if subject is None or subject.kind != "agent":
            self._centre.tell("select an agent", "warn")
            return
        self.open_thing(Opened(what, "agent", subject.name, subject.value.replica))

    def action_why(self) -> None:
        """Why what is selected is slow or failed, as far as that is known."""
        subject = self._centre.subject
        if subject is None:
            self._centre.tell("select an agent, a host or a run", "warn")
            return
        if subject.kind in ("memory", "proposal", "question"):
            self.open_thing(describing(subject))
            return
        self.open_thing(Opened("why", subject.kind, subject.name, foreign=is_foreign(subject)))

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter on a row."""
        self._describe(event.row.value)

    def action_describe(self) -> None:
        """Everything known of what is selected."""
        app = self._centre
        if app.pane is None:
            return
        run = getattr(app.focused, "run", None)
        if run is not None:
            self.open_run(run.id)
            return
        thing = getattr(app.focused, "thing", None)
        if thing is not None:
            self._describe(thing)
            return
        rows = app.focused if isinstance(app.focused, Listing) else app.pane.main
        self._describe(rows.row.value if rows.row else None)

    def _describe(self, value: Any) -> None:
        subject = subject_of(value)
        if subject is not None:
            self.open_thing(describing(subject))
        elif getattr(value, "sequence", None) is not None:
            self.open_thing(Opened("event", "event", str(value.sequence)))

    def action_help(self) -> None:
        """What every key does here."""
        from sparkplug.tui.dialogs.notes import Note
        from sparkplug.tui.help import alias_lines, binding_lines, command_lines
        from sparkplug.tui.side_by_side import beside_each_other

        app = self._centre
        focused = app.focused
        screen: Any = app.screen
        if getattr(screen, "crumb", "") == _HELP:
            return
        active = list(screen.active_bindings.values())
        sections = []
        if focused is not None:
            sections.append(binding_lines("in this box", active, focused, readonly=app.readonly))
        if len(app.screen_stack) > 1:
            where = f"in {screen.crumb or 'this dialog'}"
            sections.append(binding_lines(where, active, screen, readonly=app.readonly))
        else:
            commands = app.commands()
            here = command_lines("here", [c for c in commands if c.fits])
            rest = command_lines("the : line and the palette", [c for c in commands if not c.fits])
            everywhere = binding_lines("everywhere", active, app)
            sections = [here, *sections, everywhere, rest, alias_lines(app.aliases)]
        app.push_screen(Note(_HELP, lambda width: beside_each_other(sections, width)))


def is_foreign(subject: Subject) -> bool:
    """Whether it is an agent that SparkPlug does not run."""
    return bool(getattr(subject.value, "foreign", False))


def describing(subject: Subject) -> Opened:
    """What tells all of a thing."""
    if subject.kind == "run":
        return Opened("run", "run", subject.name)
    if subject.kind == "memory":
        return Opened("memory", "memory", subject.name)
    if subject.kind == "proposal":
        return Opened("pair", "proposal", subject.name)
    if subject.kind == "task":
        return Opened("task", "task", subject.name)
    if subject.kind == "question":
        return Opened("question", "question", subject.name)
    if subject.kind == "schedule":
        return Opened("schedule", "schedule", subject.name)
    if subject.kind == "host":
        return Opened("processes", "host", subject.name)
    return Opened("describe", "agent", subject.name, foreign=is_foreign(subject))
