"""Prompting agents by the Synadia Agent Protocol, through its own SDK.

A structured call carries `action` and `input` as envelope extras, never inside the
prompt's text, where a user's words could forge them (protocol sections 5.1 and 5.6).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal

import nats.errors
from synadia_ai import agent_service
from synadia_ai import agents as sdk
from synadia_ai.agents.discovery import AgentInfo, EndpointInfo
from synadia_ai.agents.errors import (
    IdentityError,
    PayloadTooLargeError,
    ProtocolError,
    StreamMaxWaitExceededError,
    StreamStalledError,
    ValidationError,
)

from sparkplug.bus import hubs, subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.senders import sender_identity
from sparkplug.bus.service import call as call_service
from sparkplug.schema.agent import AgentState, ResolveReply, ResolveRequest, Target
from sparkplug.schema.errors import (
    CancelledRequestError,
    ConflictError,
    DeadlineError,
    InvalidError,
    NoMeshError,
    RefusedError,
    SparkplugError,
    WaitingError,
)

Chunk = sdk.ResponseChunk | sdk.StatusChunk | sdk.Query
#: Gives the answer to a question that an agent asks back.
Answers = Callable[[str], Awaitable[str]]

#: The envelope extra that carries the ids of the run, step and attempt.
CONTEXT_FIELD = "sparkplug"
#: The envelope extra that names the conversation a prompt belongs to.
THREAD_FIELD = "thread"
#: The error of a request that ended because it needs a person; it goes on once one has answered.
#: 428 says in HTTP that something else has to be done first.
WAITING_CODE = 428
#: The error of a request that was cancelled while it was worked on. The protocol has no code
#: of its own for it; 499 is what HTTP servers log for one whose client went away.
CANCELLED_CODE = 499
_SILENCE_S = 60.0
_LOOK_EVERY_S = 1.0
_NO_MORE = frozenset(
    {AgentState.ERROR, AgentState.STOPPED, AgentState.STARTING, AgentState.DEPLOYING}
)


def use_inbox(prefix: object) -> None:
    """Make the SDK take its replies under `prefix`: one identity a process.

    The SDK shares one hard-coded prefix among all its callers; under stock permissions
    an agent could then read another's replies.
    """
    for module in (sdk._inbox, sdk._mux, agent_service._inbox):  # noqa: SLF001
        module.SDK_INBOX_PREFIX = prefix  # type: ignore[attr-defined]
    logging.getLogger("synadia_ai").setLevel(logging.ERROR)


class _InboxHere:
    """The prefix of the identity in whose context it is asked for."""

    prefix: ContextVar[str] = ContextVar("sparkplug_inbox")

    def __format__(self, spec: str) -> str:
        return self.prefix.get()


_inbox_here = _InboxHere()


def use_inbox_here(prefix: str) -> None:
    """As `use_inbox`, for this context and what it starts: several identities in a process."""
    _inbox_here.prefix.set(prefix)
    use_inbox(_inbox_here)


class _Marked:
    """Adds the mark of a hub to what is sent through it (see `hubs`), and the extras, which the
    SDK copies for what intercepts when they come in the envelope."""

    def __init__(self, mark: str, extras: Mapping[str, Any]) -> None:
        self._extras = sdk.PromptExtras(fields=extras, headers={hubs.HEADER: mark})

    async def before_prompt(self, _: sdk.PromptInterceptorContext) -> sdk.PromptExtras:
        return self._extras


def agent_at(
    bus: Bus,
    target: Target,
    close_event: asyncio.Event | None = None,
    interceptors: Sequence[sdk.PromptInterceptor] = (),
) -> sdk.Agent:
    """The SDK's handle of a replica, from what the mesh already knows of it.

    Setting `close_event` ends the streams of this handle.
    """
    info = _info(
        target.name,
        target.owner,
        target.replica,
        target.subject,
        target.max_payload,
        target.senders,
    )
    # Signing asks the server who we are, each time: only for who wants it.
    signed = target.senders == "signed"
    identity = sender_identity(bus.name, bus.credentials) if signed else None
    return sdk.Agent(
        bus.nc, info, close_event=close_event, identity=identity, interceptors=interceptors
    )


@lru_cache(maxsize=1024)
def _info(
    name: str,
    owner: str,
    replica: str,
    subject: str,
    max_payload: int | None,
    senders: Literal["any", "signed"],
) -> AgentInfo:
    """What the SDK wants to know of a replica; it only reads it."""
    endpoint = EndpointInfo(
        name="prompt",
        subject=subject,
        queue_group="agents",
        max_payload_bytes=max_payload,
        attachments_ok=True,
        min_sender_trust=senders,
    )
    return AgentInfo(
        instance_id="",
        agent=name,
        owner=owner,
        session_name=replica,
        protocol_version="0.3",
        description="",
        version="",
        metadata={},
        endpoints=(endpoint,),
        prompt_endpoint=endpoint,
    )


#: What `waiting_words` begin with.
WAITS = "waits for a person: "


def waiting_words(questions: Sequence[str], text: str) -> str:
    """What the caller of a request that waits for a person is told; see `WaitingError`."""
    return f"{WAITS}question {', '.join(questions)}: {text}"


class LostAnswererError(SparkplugError):
    """The agent ended, or the connection broke, while it was answering."""

    code = "interrupted"


class Answerer:
    """Watches the replica a prompt went to, once the answer takes longer than a moment.

    The protocol has no word for an agent that died: its caller would wait in silence. The
    node that runs it knows at once, and the directory tells.
    """

    def __init__(self, bus: Bus, target: Target) -> None:
        self._bus = bus
        self._target = target
        self._epoch = bus.epoch
        self._task: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.what_became: str | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch while the block runs; a quick answer costs nothing."""
        timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._begin)
        try:
            yield
        finally:
            timer.cancel()
            if self._task is not None:
                self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch(), name=f"watch {self._target.name}")

    async def _watch(self) -> None:
        while self.what_became is None:
            self.what_became = await self._look()
            await asyncio.sleep(0 if self.what_became else _LOOK_EVERY_S)
        self.gone.set()

    async def _look(self) -> str | None:
        """What became of the replica; None while it is the one that was asked."""
        if self._bus.epoch != self._epoch:
            return "the connection to the mesh was lost while it answered"
        asked = self._target
        try:
            reply = await call_service(
                self._bus,
                subjects.AGENTS_RESOLVE,
                ResolveRequest(name=asked.name, any_state=True),
                ResolveReply,
            )
        except SparkplugError:
            # Nobody to ask just now: that says nothing about the agent.
            return None
        same = (asked.owner, asked.replica, asked.foreign)
        now = next((t for t in reply.targets if (t.owner, t.replica, t.foreign) == same), None)
        if now is None:
            return "the agent was removed while it answered"
        if asked.instance and now.instance and now.instance != asked.instance:
            return "the agent was restarted while it answered"
        if now.state in _NO_MORE:
            return f"the agent ended while it answered: {now.reason or now.state}"
        return None


async def prompt(
    bus: Bus,
    target: Target,
    text: str,
    *,
    action: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002  the envelope's own name for it
    context: Mapping[str, Any] | None = None,
    thread: str = "",
    attachments: list[sdk.Attachment] | None = None,
    hub: str = "",
    deadline: float = 600.0,
) -> AsyncGenerator[Chunk, None]:
    """Prompt a replica and yield its chunks as they come.

    `deadline` is the most the whole stream may take (seconds), `hub` the mark of what is said to
    several at once. Raises InvalidError for a
    prompt the agent cannot take, DeadlineError, RefusedError, NotFoundError's kin as
    NoMeshError when nobody serves the subject, and SparkplugError for the agent's own error.
    """
    extras: dict[str, Any] = {}
    if action is not None:
        extras["action"] = action
        extras["input"] = dict(input or {})
    if thread:
        extras[THREAD_FIELD] = thread
    if not target.foreign:
        extras[CONTEXT_FIELD] = {**(context or {}), "within": deadline}
    elif context:
        extras[CONTEXT_FIELD] = dict(context)
    marked = (_Marked(hub, extras),) if hub else ()
    envelope = sdk.Envelope(
        prompt=text or action or "", attachments=attachments, **({} if hub else extras)
    )
    where = f"{target.name}/{target.replica}"
    answerer = Answerer(bus, target)
    try:
        stream = agent_at(bus, target, answerer.gone, marked).prompt(
            envelope, timeout=min(_SILENCE_S, deadline), max_wait_s=deadline
        )
        with answerer.watched():
            async with contextlib.aclosing(stream) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
    except PayloadTooLargeError as error:
        raise InvalidError(
            f"the prompt is {error.actual} bytes, the agent takes at most {error.limit}",
            where=where,
            hint="put what is large into a file the agent can read, and name the file",
        ) from error
    except IdentityError as error:
        raise RefusedError(
            f"the agent takes signed prompts only, and ours cannot be signed: {error}",
            where=where,
            hint="signing needs a NATS user with an nkey, and leave to ask $SYS.REQ.USER.INFO",
        ) from error
    except ValidationError as error:
        raise InvalidError(str(error), where=where) from error
    except StreamMaxWaitExceededError as error:
        within = f"{round(deadline, 1):g} s"
        raise DeadlineError(f"no complete answer within {within}", where=where) from error
    except StreamStalledError as error:
        raise DeadlineError(
            f"no word from the agent for {min(_SILENCE_S, deadline):g} s", where=where
        ) from error
    except ProtocolError as error:
        if answerer.what_became is not None:
            raise LostAnswererError(
                answerer.what_became, where=where, hint="ask again; it may have done the work"
            ) from error
        raise _from_protocol(error, where) from error
    except (nats.errors.ConnectionClosedError, nats.errors.OutboundBufferLimitError) as error:
        raise NoMeshError(f"the connection to {bus.shown_url} is gone", where=where) from error


async def call(
    bus: Bus,
    target: Target,
    action: str,
    input: Mapping[str, Any],  # noqa: A002
    *,
    context: Mapping[str, Any] | None = None,
    thread: str = "",
    query: Answers | None = None,
    deadline: float = 60.0,
) -> Any:
    """Make a structured call and return its JSON answer. Raises as `prompt` does."""
    stream = prompt(
        bus,
        target,
        action,
        action=action,
        input=input,
        context=context,
        thread=thread,
        deadline=deadline,
    )
    return parsed(await whole(stream, query))


async def whole(stream: AsyncGenerator[Chunk, None], query: Answers | None = None) -> str:
    """All text of an answer. `query` answers what is asked back; without it nobody does."""
    parts: list[str] = []
    async with contextlib.aclosing(stream) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, sdk.ResponseChunk):
                parts.append(chunk.text)
            elif isinstance(chunk, sdk.Query) and query is not None:
                await chunk.reply(await query(chunk.prompt))
    return "".join(parts)


def parsed(text: str) -> Any:
    """The answer to a structured call: JSON, or the prose of one who knows nothing of actions."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _from_protocol(error: ProtocolError, where: str) -> SparkplugError:
    """The error frame of protocol section 9 as one of ours."""
    text = str(error)
    if text.startswith("malformed chunk JSON: Expecting value: line 1 column 1"):
        return NoMeshError(
            "nobody serves this agent now",
            where=where,
            hint="`sparkplug agents list` shows its state",
        )
    if text.startswith("service error "):
        code, _, description = text.removeprefix("service error ").partition(": ")
        kinds: dict[str, type[SparkplugError]] = {
            "400": InvalidError,
            "401": RefusedError,
            "403": RefusedError,
            "408": DeadlineError,
            "413": InvalidError,
            "409": ConflictError,
            str(CANCELLED_CODE): CancelledRequestError,
            str(WAITING_CODE): WaitingError,
            # It takes nothing now, and has not begun: another may.
            "503": NoMeshError,
        }
        hint = (
            "`sparkplug questions list` shows what is asked" if code == str(WAITING_CODE) else None
        )
        kind = kinds.get(code, SparkplugError)
        return kind(description or f"error {code}", where=where, hint=hint)
    return SparkplugError(text, where=where)
