"""What is asked before something is done: which action, in a menu, and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.geometry import Offset

from sparkplug.tui.commands import Command, lacking
from sparkplug.tui.shell.part import Part
from sparkplug.tui.widgets.listing import Listing

if TYPE_CHECKING:
    from sparkplug.tui.palette import Choice
    from sparkplug.tui.widgets.menu import Item
    from sparkplug.tui.widgets.selecting import Selectable


class Asking(Part):
    """From a command to one that can be done."""

    async def pursue(self, command: Command) -> None:
        """Do a command; ask before for what it lacks."""
        app = self._centre
        due = lacking(command.action, command.given) if command.action is not None else []
        if due and command.action is not None and command.action.id == "agents.deploy":
            app.history.choose(command.title)
            await app.open_deploy()
        elif len(due) > 1:
            await self.open_arguments(command, command.given)
        elif due:
            await app.open_palette(command)
        else:
            await app.do(command, [command.given])

    async def open_arguments(self, command: Command, given: dict[str, Any]) -> None:
        """Ask for all arguments of an action on a form, filled in as far as they are known."""
        from sparkplug.tui.dialogs.arguments import Arguments

        app = self._centre
        await app.push_screen(Arguments(command, given, app.store), self._filled)

    async def _filled(self, choice: Choice | None) -> None:
        if choice is not None:
            await self._centre.do(choice.command, [choice.arguments])

    # The menu

    async def on_selectable_asked(self, event: Selectable.Asked) -> None:
        """The right button on a row, a box of a graph, a run."""
        self._centre.screen.set_focus(event.sender)
        await self._open_menu(event.place)

    async def action_menu(self) -> None:
        """The menu of what is under the cursor."""
        app = self._centre
        focused = app.focused
        if isinstance(focused, Listing):
            await self._open_menu(focused.cursor_place)
        elif app.pane is not None:
            box = (focused or app.pane.main).region
            await self._open_menu(Offset(box.x + 2, box.y + 1))

    async def _open_menu(self, place: Offset) -> None:
        from sparkplug.tui.dialogs.menu import MenuDialog

        items = self._menu_items()
        if len(self._centre.screen_stack) == 1:
            await self._centre.push_screen(MenuDialog(items, place), self._picked)

    def _menu_items(self) -> list[Item]:
        """What fits the selection, of what failed what one wants first; then what fits any."""
        from sparkplug.tui.widgets.menu import Item

        app = self._centre
        fitting = sorted((one for one in app.commands() if one.fits), key=lambda one: one.worth)
        if app.subject is not None:
            fitting.append(Command("Copy name", "copy", app.key("copy"), do="copy"))
        else:
            fitting.insert(0, Command("Describe", "describe", app.key("describe"), do="describe"))
        fitting.append(Command("More …", "palette", app.key("palette"), do="palette"))
        return [
            Item(command.title, command.key.replace("^", "ctrl+"), command.why, command)
            for command in fitting
        ]

    async def _picked(self, item: Item | None) -> None:
        if item is not None:
            await self.pursue(item.value)
