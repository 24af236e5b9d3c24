"""Prompting an agent: text, a structured call, files; the answer as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sparkplug.client.session import Client
from sparkplug.schema.agent import Target
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError, SparkplugError
from sparkplug.schema.textfile import storage_error

if TYPE_CHECKING:
    from synadia_ai.agents import Attachment, Query

#: Room for the envelope around text and files, in bytes.
_ENVELOPE_BYTES = 1024
_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class PromptChunk:
    """A piece of an answer: its text, a word of status, or a question back to the caller.

    `data` is the piece as data, where the answer is a stream of such.
    """

    kind: Literal["text", "status", "question"]
    text: str
    query: Query | None = None
    data: Any = None

    async def reply(self, answer: str) -> None:
        """Answer a question, once."""
        if self.query is None:
            raise ValueError("only a question can be answered")
        await self.query.reply(answer)


async def prompt(
    client: Client,
    target: Target,
    text: str,
    *,
    action: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002  the envelope's own name for it
    files: Sequence[Path] = (),
    thread: str = "",
    call: str = "",
    deadline: float = _DEADLINE_S,
) -> AsyncGenerator[PromptChunk, None]:
    """Prompt a replica (see `agents.target`) and yield its answer as it comes.

    `thread` names the conversation it belongs to, `call` is the id it is asked under (see
    `cancelling.cancel_asked`); `deadline` in seconds for all of it. Raises
    InvalidError before anything is sent when text and files together are larger than the agent
    takes, NotFoundError for a missing file, and what `bus.synadia.prompt` raises.
    """
    from synadia_ai.agents import ResponseChunk, StatusChunk

    from sparkplug.bus import synadia

    check_size(text, files, _limit(client, target), f"{target.name}/{target.replica}")
    attachments = await asyncio.to_thread(_attach, files)
    synadia.use_inbox(client.bus.inbox_prefix)
    stream = synadia.prompt(
        client.bus,
        target,
        text,
        action=action,
        input=input,
        context={"call": call} if call and not target.foreign else None,
        attachments=attachments or None,
        thread=thread,
        deadline=deadline,
    )
    async with contextlib.aclosing(stream) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, ResponseChunk):
                yield PromptChunk("text", chunk.text)
            elif isinstance(chunk, StatusChunk):
                yield PromptChunk("status", chunk.status)
            else:
                yield PromptChunk("question", chunk.prompt, chunk)


def check_size(text: str, files: Sequence[Path], limit: int, where: str) -> None:
    """Raise InvalidError when text and files, in base64, come to more than `limit` bytes."""
    sizes = {path: _size(path) for path in files}
    total = len(text.encode()) + _ENVELOPE_BYTES
    total += sum((size + 2) // 3 * 4 + len(path.name) + 64 for path, size in sizes.items())
    if total > limit:
        raise InvalidError(
            f"the prompt is {total} bytes with its files, the agent takes at most {limit}",
            where=where,
            hint="put what is large into a file the agent can read, and name the file",
        )


def _limit(client: Client, target: Target) -> int:
    server = client.bus.nc.max_payload
    return min(server, target.max_payload) if target.max_payload else server


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise InvalidError("a folder cannot be attached", where=str(path))
        return path.stat().st_size
    except FileNotFoundError as error:
        raise NotFoundError("no such file", where=str(path)) from error
    except PermissionError as error:
        raise RefusedError("the file may not be read", where=str(path)) from error


def _attach(files: Sequence[Path]) -> list[Attachment]:
    from synadia_ai.agents import Attachment

    found = []
    for path in files:
        try:
            found.append(Attachment.from_path(path))
        except OSError as error:
            raise storage_error(error, "cannot attach", path) from error
    return found


async def answer(chunks: AsyncGenerator[PromptChunk, None]) -> str:
    """All text of an answer. A question in it ends the prompt: SparkplugError quotes it."""
    parts: list[str] = []
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            if chunk.kind == "question":
                raise SparkplugError(f"the agent asks back: {chunk.text}")
            if chunk.kind == "text":
                parts.append(chunk.text)
    return "".join(parts)
