"""What one can do in the control centre: keys, palette and `:` line over the same commands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual.keys import _character_to_key

from sparkplug.schema.errors import DeadlineError, InvalidError, SparkplugError
from sparkplug.tui.commands import (
    PANES,
    Command,
    action_commands,
    complete,
    missing,
    own_commands,
    path_due,
    understand,
    with_path,
)
from sparkplug.tui.filter import EVERYTHING
from sparkplug.tui.help import key_name
from sparkplug.tui.history import History
from sparkplug.tui.path_names import path_names
from sparkplug.tui.widgets.footer import Hint
from sparkplug.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from sparkplug.actions.registry import Action, ActionResult, Subject
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.command_line import CommandLine
    from sparkplug.tui.filter_line import FilterLine
    from sparkplug.tui.palette import Choice
    from sparkplug.tui.panes.overview import RunBox

#: The keys of what the control centre does by itself, until the settings are read.
_BUILT_IN_KEYS = {
    **{f"pane.{pane}": key for pane, key in PANES.items()},
    "palette": "ctrl+p",
    "command": "colon",
    "filter": "slash",
    "help": "question_mark",
    "describe": "d",
    "logs": "l",
    "quit": "q",
}


class Doing:
    """The half of the app that asks the client for things. Mixed into it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.history = History()
        #: Keys of the registry's actions, by id; empty until they are known.
        self._keys: dict[str, str] = {}
        #: Keys the settings have changed, by id.
        self._mapped: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    @property
    def _centre(self) -> SparkplugApp:
        return cast("SparkplugApp", self)

    # What is selected

    @property
    def subject(self) -> Subject | None:
        """What is under the cursor, as the registry names it."""
        app = self._centre
        if not self._keys or app.pane is None:
            return None
        from sparkplug.actions.registry import Subject

        focused = app.focused
        run = getattr(focused, "run", None)
        if run is not None:
            return Subject("run", run.id, run)
        rows = focused if isinstance(focused, Rows) else app.pane.main
        return _subject_of(rows.row.value if rows.row else None)

    def bind_actions(self, wanted: Mapping[str, str], preset: str) -> list[str]:
        """Bind the keys of the registry's actions, as the settings map them; what is wrong."""
        from sparkplug.actions.registry import ACTIONS
        from sparkplug.tui.keymap import read_keymap

        app = self._centre
        keymap = read_keymap(wanted, preset)
        self._mapped = keymap.mapped
        self._keys = {action.id: keymap.keys[action.id] for action in ACTIONS.values()}
        for keys in {keys for keys in self._keys.values() if keys}:
            written = ",".join(_character_to_key(k) if len(k) == 1 else k for k in keys.split(","))
            app.bind(written, f"act({keys!r})", show=False)
        app.set_keymap({name: key for name, key in keymap.mapped.items() if name not in ACTIONS})
        return keymap.problems

    def key(self, name: str) -> str:
        """The key something has now, by its id, as it is written on screen."""
        keys = self._mapped.get(name) or self._keys.get(name) or _BUILT_IN_KEYS.get(name, "")
        return key_name(keys.split(",")[0])

    def action_hints(self) -> list[Hint]:
        """The keys that do something with what is selected."""
        subject = self.subject
        if subject is None:
            return []
        found = []
        if subject.kind == "agent":
            found.append(Hint(self.key("logs"), "logs", "logs"))
        for command in self.commands():
            if command.fits and command.action is not None and command.key and not command.why:
                name = command.action.verb[-1]
                key = key_name(command.key.split(",")[0])
                found.append(Hint(key, name, f"act({command.key!r})"))
        return [*found, Hint(self.key("describe"), "describe", "describe")]

    def open_history(self, home: Path) -> None:
        """Take up what was typed and chosen in the sessions before."""
        problem = self.history.open(home)
        if problem is not None:
            self._centre.warn(problem)

    def _keep(self, line: str | None, title: str | None) -> None:
        self._centre.run_worker(self._save(line, title), group="history")

    async def _save(self, line: str | None, title: str | None) -> None:
        problem = await asyncio.to_thread(self.history.save, line, title)
        if problem is not None:
            self._centre.warn(problem)

    # What there is to do

    def commands(self) -> list[Command]:
        """Everything that can be asked for now; what fits the selection first."""
        app = self._centre
        subject = self.subject
        found = own_commands(subject, app.themes, self.key)
        if app.notices:
            found.append(Command("Notices", "notices", do="notices"))
        if self._keys:
            found += action_commands(subject, app.store.plans, self._keys, readonly=app.readonly)
        return sorted(found, key=lambda command: not command.fits)

    async def action_palette(self) -> None:
        """Open the palette."""
        await self._open_palette(None)

    async def _open_palette(self, start: Command | None) -> None:
        from sparkplug.tui.palette import Palette

        app = self._centre
        names = app.store.names
        palette = Palette(self.commands(), self.history.recent, names, start)
        await app.push_screen(palette, self._chosen)
        palette.type_here()

    async def _chosen(self, choice: Choice | None) -> None:
        if choice is not None:
            await self._do(choice.command, [choice.arguments])

    async def _do(self, command: Command, calls: Sequence[dict[str, Any]]) -> None:
        app = self._centre
        self.history.choose(command.title)
        self._keep(None, command.title)
        if command.action is None:
            await app.run_action(command.do)
            return
        action = command.action
        app.run_worker(self._perform(action, calls), name=action.id)

    async def action_act(self, key: str) -> None:
        """A key of the registry: the action it has for what is selected."""
        fitting = [c for c in self.commands() if c.key == key and c.action is not None]
        command = next((c for c in fitting if c.fits and not c.why), None)
        command = command or next((c for c in fitting if c.fits), None)
        command = command or next((c for c in fitting), None)
        if command is None:
            self._centre.tell("this was started with --readonly", "warn")
        elif command.why:
            self._centre.tell(f"{command.title}: {command.why}", "warn")
        elif command.action is not None and missing(command.action, command.given):
            await self._open_palette(command)
        else:
            await self._do(command, [command.given])

    def ask(self, action: str, given: dict[str, Any]) -> None:
        """Do one of the registry's actions, from a dialog."""
        from sparkplug.actions.registry import ACTIONS

        self._centre.run_worker(self._perform(ACTIONS[action], [given]), name=action)

    async def _perform(self, action: Action, calls: Sequence[dict[str, Any]]) -> None:
        """Ask where it is dangerous, do it, show what came of it."""
        import nats.errors

        from sparkplug.actions.registry import refuse_if_readonly

        app = self._centre
        try:
            refuse_if_readonly(action, readonly=app.readonly)
            if action.danger:
                from sparkplug.tui.dialogs.confirm import Confirm

                sentence = "\n".join(action.preview(**given) for given in calls)
                if not await app.push_screen_wait(Confirm(action.title, f"This {sentence}.")):
                    return
            for given in calls:
                await self._perform_one(action, given)
        except SparkplugError as error:
            app.fail(action.title, error)
        except (TimeoutError, nats.errors.Error) as error:
            app.fail(action.title, DeadlineError(f"the mesh did not answer: {error!r}"))

    async def _perform_one(self, action: Action, given: dict[str, Any]) -> None:
        app = self._centre
        client = app.store.client
        if client is None:
            raise DeadlineError("there is no connection to the mesh", hint="it is tried again")
        app.tell(f"{action.title} …", "dim")
        result = await action.run(client, **given)
        app.tell(result.message, "ok" if result.changed else "dim")
        self._show(result, given)

    def _show(self, result: ActionResult, given: dict[str, Any]) -> None:
        """Open what a result has to show."""
        app = self._centre
        if result.chunks is not None:
            from sparkplug.tui.dialogs.answer import Answer

            asked = f"> {given.get('text', '')}"
            app.push_screen(Answer(result.message, asked, result.chunks))
        elif isinstance(result.data, dict) and "plan" in result.data and "run" in result.data:
            self.open_run(str(result.data["run"]))

    def open_run(self, run: str) -> None:
        """Read a run."""
        from sparkplug.tui.dialogs.run import RunPage

        self._centre.push_screen(RunPage(run))

    def on_run_box_opened(self, event: RunBox.Opened) -> None:
        """Enter on the run."""
        self.open_run(event.run)

    # The `:` line and the filter

    async def action_command(self) -> None:
        """Open the `:` line."""
        from sparkplug.tui.command_line import CommandLine

        app = self._centre
        await app.open_line(CommandLine(self._completions, self.history.lines, self._paths))

    def _completions(self, text: str) -> list[str]:
        return complete(text, self.commands(), self._centre.store.names)

    async def _paths(self, text: str) -> list[str]:
        """Lines that a path at the end of this one could make of it, from the disk."""
        due = path_due(text, self.commands())
        if due is None:
            return []
        typed, before = due
        return [with_path(before, path) for path in await asyncio.to_thread(path_names, typed)]

    async def on_command_line_said(self, event: CommandLine.Said) -> None:
        """Enter on the `:` line."""
        app = self._centre
        commands = self.commands()
        await app.close_line()
        if not event.text:
            return
        self.history.say(event.text)
        self._keep(event.text, None)
        try:
            spoken = understand(event.text, commands)
            command = spoken.command
            if command.why is not None and not spoken.calls:
                raise InvalidError(f"{command.title}: {command.why}")
            if command.action is not None and missing(command.action, spoken.calls[0]):
                await self._open_palette(_with(command, spoken.calls[0]))
            else:
                await self._do(command, spoken.calls)
        except InvalidError as error:
            app.tell(f"{error.message}{f' ({error.hint})' if error.hint else ''}", "warn")

    async def on_command_line_left(self) -> None:
        """Escape on the `:` line."""
        await self._centre.close_line()

    async def action_filter(self) -> None:
        """Filter the list one is in."""
        from sparkplug.tui.filter_line import FilterLine

        app = self._centre
        if app.pane is not None:
            rows = app.focused if isinstance(app.focused, Rows) else app.pane.main
            await app.open_line(FilterLine(rows))

    async def on_filter_line_left(self, event: FilterLine.Left) -> None:
        """Done filtering."""
        await self._centre.close_line()
        event.rows.focus()

    async def action_back(self) -> None:
        """Out of what one is in: the filter, the box, the pane."""
        app = self._centre
        pane = app.pane
        if pane is None:
            return
        rows = app.focused if isinstance(app.focused, Rows) else pane.main
        if rows.wanted.text:
            rows.wanted = EVERYTHING
        elif app.focused is not pane.main:
            pane.main.focus()
        elif pane.id != "overview":
            await app.action_pane("overview")

    # Into what is selected

    def action_copy(self) -> None:
        """Copy the name of what is selected."""
        subject = self.subject
        if subject is not None:
            self._centre.copy(subject.name)

    def action_logs(self) -> None:
        """Follow the log of the selected agent."""
        from sparkplug.tui.dialogs.logs import Logs

        subject = self.subject
        if subject is None or subject.kind != "agent":
            self._centre.tell("select an agent", "warn")
            return
        self._centre.push_screen(Logs(subject.name, subject.value.replica))

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
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
        rows = app.focused if isinstance(app.focused, Rows) else app.pane.main
        self._describe(rows.row.value if rows.row else None)

    def _describe(self, value: Any) -> None:
        from sparkplug.tui.dialogs.describe import event_lines
        from sparkplug.tui.dialogs.notes import Note

        app = self._centre
        subject = _subject_of(value)
        if subject is not None and subject.kind == "agent":
            app.push_screen(self._agent_note(subject.name, value.foreign))
        elif subject is not None:
            app.run_worker(self._show_processes(subject.name))
        elif value is not None:
            app.push_screen(Note(value.name, lambda width: event_lines(value, width)))

    def _agent_note(self, name: str, foreign: bool) -> Any:
        from sparkplug.tui.dialogs.describe import agent_lines
        from sparkplug.tui.dialogs.notes import Note

        store = self._centre.store

        def layout(width: int) -> Any:
            found = [a for a in store.agents if a.name == name and a.foreign is foreign]
            wanted = store.view.desired.get(name) if store.view and not foreign else None
            return agent_lines(name, found, wanted, width)

        return Note(name, layout, frozenset({"agents"}))

    async def _show_processes(self, host: str) -> None:
        from sparkplug.client import hosts
        from sparkplug.tui.dialogs.describe import process_lines
        from sparkplug.tui.dialogs.notes import Note

        app = self._centre
        if app.store.client is None:
            app.tell("there is no connection to the mesh", "warn")
            return
        try:
            reply = await hosts.processes(app.store.client, host)
        except SparkplugError as error:
            app.fail(f"processes of {host}", error)
            return
        title = f"processes of {host} at {reply.time.astimezone():%H:%M:%S}"
        await asyncio.sleep(0)
        app.push_screen(Note(title, lambda width: process_lines(reply, width)))

    def action_notices(self) -> None:
        """Everything that was told to look at, since this was opened."""
        from sparkplug.tui.cells import wrap
        from sparkplug.tui.dialogs.notes import Note

        app = self._centre

        def layout(width: int) -> list[Any]:
            return [(("text", line),) for told in app.notices for line in wrap(told, width)]

        app.push_screen(Note("notices", layout))

    def action_help(self) -> None:
        """What every key does here."""
        from sparkplug.tui.dialogs.notes import Note
        from sparkplug.tui.help import binding_lines, command_lines

        app = self._centre
        focused = app.focused
        commands = self.commands()
        active = list(app.screen.active_bindings.values())
        lines = command_lines("here", [c for c in commands if c.fits])
        if focused is not None:
            lines += binding_lines("in this box", active, focused)
        lines += binding_lines("everywhere", active, app)
        lines += command_lines("the : line and the palette", [c for c in commands if not c.fits])
        app.push_screen(Note("help", lambda _width: lines))


def _subject_of(value: Any) -> Subject | None:
    """A row's record as the registry names it."""
    if value is None:
        return None
    from sparkplug.actions.registry import Subject
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.node_services import HostView

    if isinstance(value, ObservedAgent):
        return Subject("agent", value.name, value)
    if isinstance(value, HostView):
        return Subject("host", value.name, value)
    return None


def _with(command: Command, given: dict[str, Any]) -> Command:
    return Command(command.title, command.words, action=command.action, given=given)
