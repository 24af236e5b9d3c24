"""`agents edit` on a terminal: the spec in an editor, checked, shown, asked about, applied."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.cli.actions import ask
from sparkplug.cli.context import Cli
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError, SparkplugError

if TYPE_CHECKING:
    from sparkplug.client.session import Client


async def edit_in_editor(cli: Cli, given: dict[str, Any]) -> int:
    """Open an agent's spec in $VISUAL or $EDITOR until it holds, then show and apply it.

    Raises RefusedError when it was not confirmed, ConflictError when somebody else changed the
    agent meanwhile; what was written is then kept in a file that is named.
    """
    from sparkplug.client import editing

    name = given["agent"]
    command = editor()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidError(
            "an editor needs a terminal", hint="--file FILE takes the text from a file"
        )
    async with cli.connect() as client:
        text, revision = await editing.spec_text(client, name)
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="sparkplug-edit-"))
        file = folder / f"{name}.yaml"
        try:
            edited = await _until_it_holds(client, command, file, name, text, revision)
            if edited is None:
                cli.out.talk(f"{name}: nothing changed")
                return 0
            return await _take(cli, client, given, edited, revision)
        except SparkplugError as error:
            if file.exists() and not isinstance(error, NotFoundError):
                kept = f"what you wrote is kept in {file}"
                hint = f"{error.hint}\n{kept}" if error.hint else kept
                raise type(error)(error.message, where=error.where, hint=hint) from error
            raise
        finally:
            if sys.exc_info()[0] is None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def editor() -> list[str]:
    """The editor's command. Raises NotFoundError when there is none."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    words = shlex.split(named)
    if not words or shutil.which(words[0]) is None:
        raise NotFoundError(
            f"there is no editor {named}", hint="VISUAL or EDITOR names one; --file needs none"
        )
    return words


async def _until_it_holds(
    client: Client, command: list[str], file: Path, name: str, text: str, revision: int
) -> str | None:
    """What was written, once it holds; None when it was left as it was, or emptied.

    A text that does not hold is opened again with what is wrong above it.
    """
    from sparkplug.client import editing, spec_page

    body, note = text, ""
    while True:
        page = spec_page.page_text(name, revision, body, note)
        await asyncio.to_thread(file.write_text, page, encoding="utf-8")
        await _open(command, file)
        written = await asyncio.to_thread(file.read_text, encoding="utf-8", errors="replace")
        now = spec_page.body_of(written)
        if not now.strip() or now == text:
            return None
        try:
            editing.check_text(now, file.name)
            await editing.text_diff(client, name, now)
        except InvalidError as error:
            if now == body and note:
                raise  # saved as it was, with what is wrong above it: given up
            body, note = now, spec_page.complaint(error, name, revision, now, file.name)
            continue
        return now


async def _open(command: list[str], file: Path) -> None:
    process = await asyncio.create_subprocess_exec(*command, str(file))
    code = await process.wait()
    if code:
        raise SparkplugError(f"{command[0]} left with {code}; nothing was changed")


async def _take(cli: Cli, client: Client, given: dict[str, Any], text: str, revision: int) -> int:
    """Show what differs, ask, apply, and wait until it is so."""
    from sparkplug.client import agents, editing, readiness

    name = given["agent"]
    difference = await editing.text_diff(client, name, text)
    if not difference:
        cli.out.talk(f"{name}: nothing changed")
        return 0
    if cli.option("dry_run", False):
        cli.out.text(difference)
        return 0
    try:
        ask(cli, "edit agent", f"would change {name}:\n{difference}\n")
    except RefusedError:
        raise RefusedError("nothing was changed") from None
    why = agents.Why(given["reason"] or "")
    await editing.apply_text(client, name, text, given["revision"] or revision, why)
    wanted = (await agents.desired(client)).get(name)
    if wanted is not None and wanted.run and not given["no_wait"]:
        await readiness.wait_ready(client, [name], given["timeout"])
    cli.out.text(f"{name}: changed")
    return 0
