"""What one can do in the control centre: keys, palette and `:` line over the same commands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.schema.errors import DeadlineError, SparkplugError
from sparkplug.tui.commands import Command, action_commands, own_commands, shell_commands
from sparkplug.tui.difference import difference_lines
from sparkplug.tui.places import Opened
from sparkplug.tui.shell.part import Part

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action, ActionResult
    from sparkplug.client.session import Client
    from sparkplug.tui.palette import Choice
    from sparkplug.tui.widgets.listing import Listing


#: Of many things that something would be done to so many are named.
_NAMED = 20


class Doing(Part):
    """The part of the app that asks the client for things. Mixed into it."""

    def commands(self) -> list[Command]:
        """Everything that can be asked for now; what fits the selection first."""
        app = self._centre
        subject = app.subject
        found = own_commands(subject, app.themes, app.key, app.store.contexts)
        if app.told:
            found.append(Command("Notices", "notices", do="notices"))
        if app.action_keys:
            keys = app.action_keys
            plans, marked = app.store.plans, app.marked
            found += action_commands(subject, plans, keys, readonly=app.readonly, marked=marked)
        found += shell_commands(subject, readonly=app.readonly)
        return sorted(found, key=lambda command: not command.fits)

    async def action_palette(self) -> None:
        """Open the palette."""
        await self.open_palette(None)

    async def open_palette(self, start: Command | None) -> None:
        """Open the palette, at the arguments that `start` lacks when it is given."""
        from sparkplug.tui.palette import Palette

        app = self._centre
        palette = Palette(self.commands(), app.history.recent, app.store, start)
        await app.push_screen(palette, self._chosen)
        palette.type_here()

    async def _chosen(self, choice: Choice | None) -> None:
        if choice is not None and choice.form:
            await self._centre.open_arguments(choice.command, choice.arguments)
        elif choice is not None:
            await self.do(choice.command, [choice.arguments])

    async def do(self, command: Command, calls: Sequence[dict[str, Any]]) -> None:
        """Do a command, once for each of the arguments it is given."""
        app = self._centre
        app.history.choose(command.title)
        app.remember(None, command.title)
        if command.action is None:
            await app.run_action(command.do)
            return
        action, target = command.action, command.action.target_argument
        if command.names and target is not None:
            calls = [{**given, target.name: name} for given in calls for name in command.names]
        if len(calls) == 1 and app.opens_page(action, calls[0]):
            return
        marks = app.listing if command.names else None
        app.run_worker(self._perform(action, calls, marks), name=action.id)

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
        elif not command.fits and self._is_for_nothing(key, command):
            return
        else:
            await self._centre.pursue(command)

    def _is_for_nothing(self, key: str, command: Command) -> bool:
        """Whether a key is not for what is selected, and what it is for cannot be named either.

        On a question it opens that: there it is answered, by the same keys.
        """
        kind = command.action.target if command.action is not None else None
        if kind is None:
            return False
        app = self._centre
        if app.subject is not None and app.subject.kind == "question":
            app.open_thing(Opened("question", "question", app.subject.name))
            return True
        if app.store.names(kind):
            return False
        asked = len(app.store.questions)
        told = f"; what waits for you ({asked}) is in Overview and Tasks" if asked else ""
        app.tell(f"{key}: {command.title.removesuffix(' …')}: no {kind} is selected{told}", "warn")
        return True

    def ask(self, action: str, given: dict[str, Any]) -> None:
        """Do one of the registry's actions, from a dialog."""
        from sparkplug.actions.registry import ACTIONS

        self._centre.run_worker(self._perform(ACTIONS[action], [given]), name=action)

    @property
    def client(self) -> Client:
        """The client of the mesh. Raises DeadlineError while there is no connection."""
        store = self._centre.store
        if store.client is None or store.link.state == "lost":
            raise DeadlineError(
                "there is no connection to the mesh; nothing was done", hint="it is tried again"
            )
        return store.client

    @contextlib.asynccontextmanager
    async def telling(self, title: str) -> AsyncIterator[None]:
        """Do something that asks the mesh; what keeps it from being done is told."""
        import nats.errors

        look = "look at it before you try again"
        try:
            yield
            return
        except SparkplugError as error:
            found = error
        except TimeoutError:
            told = "the mesh did not answer in time; it may have been done all the same"
            found = DeadlineError(told, hint=look)
        except nats.errors.Error as error:
            told = f"the server did not answer as it should: {error or type(error).__name__}"
            found = DeadlineError(told, hint=look)
        self._centre.untell()
        self._centre.fail(title, found)

    async def _perform(
        self, action: Action, calls: Sequence[dict[str, Any]], marks: Listing | None = None
    ) -> None:
        """Ask where it is dangerous, do it, show what came of it; `marks` are then done with."""
        async with self.telling(action.title):
            if not await self._agreed_to(action, calls):
                return
            if marks is not None:
                marks.unmark()
            if action.together is not None and len(calls) > 1:
                await self._perform_together(action, calls)
                return
            # All at once, so that one that takes its time keeps no other waiting.
            done = [self.perform_one(action, given) for given in calls]
            for wrong in await asyncio.gather(*done, return_exceptions=True):
                if wrong is not None:
                    raise wrong

    async def _perform_together(self, action: Action, calls: Sequence[dict[str, Any]]) -> None:
        """Do it to all of them with one request, and tell of it once."""
        app = self._centre
        client = self.client
        app.tell(f"{action.title} …", "dim")
        assert action.together is not None
        result = await action.together(client, calls)
        app.tell(result.message, "warn" if result.exit_code else "ok")

    async def _agreed_to(self, action: Action, calls: Sequence[dict[str, Any]]) -> bool:
        """Whether it may be done: asked where it ends something, or changes what is looked at."""
        from sparkplug.actions.registry import look_first, refuse_if_readonly

        app = self._centre
        refuse_if_readonly(action, readonly=app.readonly)
        if action.danger:
            from sparkplug.tui.dialogs.confirm import Confirm

            app.tell(f"{action.title} …", "dim")
            try:
                looked = await look_first(self.client, action, calls)
            except TimeoutError as error:
                told = "the mesh did not answer in time; nothing was done"
                raise DeadlineError(told, hint="`sparkplug doctor` looks for the reason") from error
            app.untell()
            sentence = _preview(action, calls, looked)
            if not await app.push_screen_wait(Confirm(action.title, f"This {sentence}.")):
                return False
        return action.confirm is None or await self._confirmed(action, calls)

    async def _confirmed(self, action: Action, calls: Sequence[dict[str, Any]]) -> bool:
        """Ask about what the mesh says would come of it, where that is to be asked about."""
        from sparkplug.tui.dialogs.decision import Decision

        assert action.confirm is not None
        questions = [await action.confirm(self.client, **given) for given in calls]
        told = "\n".join(f"This {question}" for question in questions if question)
        if not told:
            return True
        page = Decision(action.title, lambda width: difference_lines(told, width))
        return await self._centre.push_screen_wait(page) == "yes"

    async def perform_one(self, action: Action, given: dict[str, Any]) -> None:
        """Do one of the registry's actions and show what came of it. Raises what kept it."""
        app = self._centre
        client = self.client
        app.tell(f"{action.title} …", "dim")
        result = await action.run(client, **given)
        app.tell(result.message, "ok" if result.changed else "dim")
        if action.target == "proposal":
            app.tell_settled(str(result.data["id"]))
        self._show(result, given)

    def _show(self, result: ActionResult, given: dict[str, Any]) -> None:
        """Open what a result has to show."""
        app = self._centre
        if result.chunks is not None and result.stream:
            from sparkplug.tui.dialogs.messages import Messages

            app.push_screen(Messages(result.message, result.chunks))
        elif result.chunks is not None:
            from sparkplug.tui.dialogs.answer import Answer

            asked = f"> {given.get('text', result.message)}"
            app.push_screen(Answer(result.message, asked, result.chunks, result.cancel))
        elif result.text:
            from sparkplug.tui.dialogs.notes import text_note

            app.push_screen(text_note(result.message, result.text))
        elif isinstance(result.data, dict) and "plan" in result.data and "run" in result.data:
            app.open_run(str(result.data["run"]))


def _preview(action: Action, calls: Sequence[dict[str, Any]], looked: Sequence[str | None]) -> str:
    """What all of it would do: in one sentence with all names, where only the names differ.

    `looked` is what the mesh says each would do, where it says more.
    """
    target = action.target_argument
    if any(looked):
        told = [full or action.preview(**given) for full, given in zip(looked, calls, strict=True)]
        if len(told) > _NAMED:
            told[_NAMED:] = [f"… and so with {len(told) - _NAMED} more"]
        return "\n".join(told)
    if target is not None and len(calls) > 1:
        names = [str(given[target.name]) for given in calls]
        rest = [{k: v for k, v in given.items() if k != target.name} for given in calls]
        if all(given == rest[0] for given in rest):
            if len(names) > _NAMED:
                names[_NAMED:] = [f"and {len(names) - _NAMED} more"]
            return action.preview(**{**calls[0], target.name: ", ".join(names)})
    return "\n".join(action.preview(**given) for given in calls)
