"""Changing what is wanted of an agent as text: written, checked, shown, asked about, applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from sparkplug.schema.errors import ConflictError, InvalidError, SparkplugError
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.difference import difference_lines
from sparkplug.tui.shell.part import Part

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action
    from sparkplug.tui.dialogs.decision import Answer
    from sparkplug.tui.widgets.page import Layout

_DROP_WORDS = "drop it"


@dataclass(slots=True)
class _Draft:
    """A text on its way: what it began from, what it is now, and what is to be told of it."""

    name: str
    text: str
    revision: int
    body: str
    note: str = ""
    line: int = 0


class Editing(Part):
    """The pages on which a spec is changed, in place of the actions that are given a file."""

    def opens_page(self, action: Action, given: dict[str, Any]) -> bool:
        """Open the page of an action that has one, for what is given; False when it has none."""
        app = self._centre
        if app.opens_review(action, given):
            return True
        name = given.get("agent")
        if action.id == "agents.edit" and name and not given.get("file"):
            _: Worker[None] = app.run_worker(
                partial(self._perform_edit, action, str(name), str(given.get("reason") or "")),
                group="edit",
                exclusive=True,
            )
            return True
        if action.id == "memory.edit" and given.get("memory") and not given.get("text"):
            _ = app.run_worker(
                partial(self._edit_memory, action, str(given["memory"])),
                group="edit",
                exclusive=True,
            )
            return True
        if action.id == "agents.history" and name:
            from sparkplug.tui.places import Opened

            app.open_thing(Opened("history", "agent", str(name)))
            return True
        return False

    async def _edit_memory(self, action: Action, known: str) -> None:
        """Write a memory anew, from its newest version."""
        from sparkplug.actions.registry import refuse_if_readonly
        from sparkplug.client import memory
        from sparkplug.schema.memory_requests import EditRequest
        from sparkplug.tui.dialogs.memory import MemoryEditor

        app = self._centre
        async with app.telling(action.title):
            refuse_if_readonly(action, readonly=app.readonly)
            item = (await memory.describe(app.client, known)).item
            written = await app.push_screen_wait(MemoryEditor(item.id, item.text))
            if written is None or written == item.text:
                app.tell(f"{item.id[:8]}: nothing changed", "dim")
                return
            request = EditRequest(id=item.id, text=written, version=item.version)
            made = await memory.edit(app.client, request)
            app.tell(f"{made.id[:8]}: version {made.version}", "ok")

    async def _perform_edit(self, action: Action, name: str, reason: str) -> None:
        from sparkplug.actions.registry import refuse_if_readonly
        from sparkplug.client import editing

        app = self._centre
        async with app.telling(action.title):
            refuse_if_readonly(action, readonly=app.readonly)
            text, revision = await editing.spec_text(app.client, name)
            draft: _Draft | None = _Draft(name, text, revision, text)
            while draft is not None:
                draft = await self._once(draft, reason)

    async def _once(self, draft: _Draft, reason: str) -> _Draft | None:
        """Write, check, ask, apply; what is to be written on, or None when it has ended."""
        from sparkplug.client import editing
        from sparkplug.client.specs import Why

        app, name = self._centre, draft.name
        written = await self._written(draft)
        if written is None or not written.strip() or written == draft.text:
            app.tell(f"{name}: nothing changed", "dim")
            return None
        draft.body, difference = written, ""
        try:
            difference = await editing.text_diff(app.client, name, written)
            if not difference:
                app.tell(f"{name}: nothing changed", "dim")
                return None
            if (answer := await self._agreed(name, difference)) != "yes":
                return self._again(draft) if answer == "edit" else None
            await editing.apply_text(app.client, name, written, draft.revision, Why(reason))
        except ConflictError as error:
            return await self._lost(draft, error, difference)
        except SparkplugError as error:
            return await self._mended(draft, error)
        app.tell(f"{name}: changed", "ok")
        return None

    def _again(self, draft: _Draft) -> _Draft:
        draft.note, draft.line = "", 0
        return draft

    async def _written(self, draft: _Draft) -> str | None:
        """What a person makes of the text; None when it was left."""
        from sparkplug.client import spec_page
        from sparkplug.tui.editor import chosen_editor, edited

        app = self._centre
        command = chosen_editor() if app.can_lend else None
        if command is None:
            from sparkplug.tui.dialogs.spec_editor import SpecEditor

            said = draft.note.splitlines()[0] if draft.note else ""
            page = SpecEditor(draft.name, draft.body, draft.line, said)
            found = await app.push_screen_wait(page)
            return None if found is None else str(found)
        text = spec_page.page_text(draft.name, draft.revision, draft.body, draft.note)
        above = text[: len(text) - len(draft.body)].count("\n")
        line = above + draft.line if draft.line else 0
        return spec_page.body_of(await edited(app, command, f"{draft.name}.yaml", text, line))

    async def _agreed(self, name: str, difference: str) -> str:
        from sparkplug.tui.dialogs.decision import NO, Answer

        answers = (Answer("y", "apply it", "yes"), Answer("e", "edit it again", "edit"), NO)
        return await self._decided(
            f"change {name}?", lambda width: difference_lines(difference, width), answers
        )

    async def _mended(self, draft: _Draft, error: SparkplugError) -> _Draft | None:
        """Tell what is wrong, and where; write on if that is wanted."""
        from sparkplug.client.spec_page import complaint
        from sparkplug.tui.dialogs.decision import Answer

        answers = (Answer("e", "edit it again", "edit"), Answer("n", _DROP_WORDS, "no"))
        answer = await self._decided(
            f"{draft.name} is not changed", partial(_error_lines, error, draft.body), answers
        )
        if answer != "edit":
            return None
        if isinstance(error, InvalidError):
            file = f"{draft.name}.yaml"
            draft.note = complaint(error, draft.name, draft.revision, draft.body, file)
            draft.line = _place(error)[0]
        return draft

    async def _lost(self, draft: _Draft, error: ConflictError, yours: str) -> _Draft | None:
        """Somebody else was first: show what they made of it; edit that if it is wanted."""
        from sparkplug.client import editing
        from sparkplug.tui.dialogs.decision import Answer

        def layout(width: int) -> list[Line]:
            advice, _, theirs = (error.hint or "").partition("\n")
            return [
                *((("warn", line),) for line in wrap(error.message, width)),
                (),
                *(difference_lines(theirs, width) if theirs else [(("dim", advice),)]),
                (),
                (("title", "yours, which is not taken"),),
                *difference_lines(yours, width),
            ]

        answers = (Answer("e", "edit the newer one", "edit"), Answer("n", _DROP_WORDS, "no"))
        if await self._decided(f"{draft.name} was changed first", layout, answers) != "edit":
            return None
        text, revision = await editing.spec_text(self._centre.client, draft.name)
        return _Draft(draft.name, text, revision, text, f"yours, which was not taken:\n{yours}")

    async def _decided(self, title: str, layout: Layout, answers: tuple[Answer, ...]) -> str:
        from sparkplug.tui.dialogs.decision import Decision

        return await self._centre.push_screen_wait(Decision(title, layout, answers)) or ""


def _place(error: InvalidError) -> tuple[int, int]:
    """The line and column an error names; 0 where it names none."""
    parts = (error.where or "").rsplit(":", 2)
    numbers = [int(part) for part in parts[1:] if part.isdigit()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _error_lines(error: SparkplugError, text: str, width: int) -> list[Line]:
    """What is wrong, the line it is in, and what to do."""
    lines: list[Line] = []
    line, column = _place(error) if isinstance(error, InvalidError) else (0, 0)
    for number, part in enumerate(error.message.splitlines() or [""]):
        told = part.replace("<text>:", "line ")
        lines += [(("text" if number else "bad", p),) for p in wrap(f"✖ {told}", width)]
    if line:
        rows = text.splitlines()
        lines.append((("dim", f"line {line}, column {column}"),))
        for at in range(max(1, line - 1), min(len(rows), line + 1) + 1):
            pen = "text" if at == line else "dim"
            lines.append((("dim", f"{at:>4} "), (pen, rows[at - 1])))
            if at == line:
                lines.append((("bad", " " * (4 + column) + "^"),))
    elif error.where:
        lines.append((("dim", error.where),))
    if error.hint:
        lines += [(), *((("focus", p),) for p in wrap(error.hint, width))]
    return lines
