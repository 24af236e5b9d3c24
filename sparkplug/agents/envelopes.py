"""What comes in the envelope of a prompt, read once and checked: the bus is not trusted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synadia_ai.agent_service import RequestRejectedError
from synadia_ai.agents import Envelope

from sparkplug.agents.context import Request
from sparkplug.agents.talking import QUESTION_FIELD
from sparkplug.agents.trail import TRAIL_IDS
from sparkplug.bus import synadia as wire
from sparkplug.schema.question import SavedFile, SavedRequest
from sparkplug.schema.thread import LONGEST_THREAD

#: The ids of the run that go on to whom it asks in its turn.
_IDS = ("run", "step", "attempt", "key", QUESTION_FIELD, *TRAIL_IDS)
#: Bytes of a request that is kept while its agent waits for a person.
MOST_SAVED = 512 << 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, with what travels beside it."""

    request: Request
    ids: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds its caller waits; None: it did not say.
    deadline: float | None = None
    #: (question, token) of a request that is gone on with, after a person has answered.
    resume: tuple[str, str] | None = None


def read_envelope(envelope: Envelope) -> Asked:
    """The request in an envelope. Raises RequestRejectedError for extras that do not hold."""
    extras = envelope.extras
    action, input_, ids = (extras.get(k) for k in ("action", "input", wire.CONTEXT_FIELD))
    if action is not None and not (isinstance(action, str) and action):
        raise RequestRejectedError(400, "`action` must be a non-empty string")
    if input_ is not None and not isinstance(input_, dict):
        raise RequestRejectedError(400, "`input` must be an object")
    thread = extras.get(wire.THREAD_FIELD) or ""
    if not isinstance(thread, str) or len(thread) > LONGEST_THREAD:
        raise RequestRejectedError(400, f"`thread` is a text of at most {LONGEST_THREAD}")
    try:
        files = tuple((f.filename, f.to_bytes()) for f in envelope.attachments or ())
    except (binascii.Error, ValueError) as error:
        raise RequestRejectedError(400, "an attachment is not base64") from error
    request = Request(
        text=envelope.prompt,
        action=action or "prompt",
        input=input_ or {},
        files=files,
        structured=action is not None,
        thread=thread,
    )
    ids = ids if isinstance(ids, dict) else {}
    return Asked(
        request,
        {name: ids[name] for name in _IDS if name in ids},
        _seconds(ids.get("within")),
        _resume(ids.get("resume")),
    )


def _seconds(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and found > 0 else None


def _resume(found: Any) -> tuple[str, str] | None:
    if not isinstance(found, dict):
        return None
    return str(found.get("question") or ""), str(found.get("token") or "")


def save(asked: Asked, request: str, agent: str, replica: str) -> SavedRequest:
    """The request to be kept while a person is asked."""
    what = asked.request
    return SavedRequest(
        request=request,
        agent=agent,
        replica=replica,
        thread=what.thread,
        text=what.text,
        action=what.action if what.structured else None,
        input=dict(what.input),
        files=[
            SavedFile(name=name, content=base64.b64encode(content).decode())
            for name, content in what.files
        ],
        ids=dict(asked.ids),
    )


def restore(saved: SavedRequest) -> Asked:
    """A request that was kept, as it came."""
    request = Request(
        text=saved.text,
        action=saved.action or "prompt",
        input=saved.input,
        files=tuple((one.name, base64.b64decode(one.content)) for one in saved.files),
        structured=saved.action is not None,
        thread=saved.thread,
    )
    return Asked(request, saved.ids)
