"""Where a request comes from: the ids that go on to whoever it asks in its turn.

`correlation` names all that one thing asked of the mesh set off, `causation` the request that
asked this one, `traceparent` is W3C Trace Context's (version 00), `path` the agents that were asked
one after the other, each with what it was asked: so a loop is seen, and a chain that is too long.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkplug.schema.errors import RefusedError

#: Agents that may ask one another in a chain.
MAX_HOPS = 16
_TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ID = 64
#: What of a request's ids goes on, beside those of the run.
TRAIL_IDS = ("correlation", "causation", "traceparent", "path")


@dataclass(frozen=True, slots=True)
class Trail:
    """The trail of one request, which has the id `request`."""

    request: str
    correlation: str
    causation: str
    traceparent: str
    path: tuple[str, ...]

    @classmethod
    def read(cls, ids: Mapping[str, Any]) -> Trail:
        """The trail that came with a request, or a fresh one. What does not hold is left out."""
        request = secrets.token_hex(8)
        given = _TRACE.fullmatch(str(ids.get("traceparent") or ""))
        trace = given[1] if given else secrets.token_hex(16)
        flags = given[3] if given else "01"
        path = ids.get("path")
        return cls(
            request=request,
            correlation=str(ids.get("correlation") or request)[:_ID],
            causation=str(ids.get("causation") or "")[:_ID],
            traceparent=f"00-{trace}-{secrets.token_hex(8)}-{flags}",
            path=tuple(str(one) for one in path[-2 * MAX_HOPS :]) if isinstance(path, list) else (),
        )

    def onward(self, agent: str, what: str, content: Any) -> dict[str, Any]:
        """The ids for asking `agent` for `what` with `content`.

        Raises RefusedError when the chain is too long, or when it was asked the same before in it.
        """
        step = f"{agent}:{what}:{_digest(content)}"
        if step in self.path:
            chain = " → ".join(one.partition(":")[0] for one in self.path)
            raise RefusedError(
                f"a loop: {agent} was asked the same before, in {chain} → {agent}",
                hint="an agent that passes a request on must change something about it",
            )
        if len(self.path) >= MAX_HOPS:
            raise RefusedError(
                f"the request has passed {len(self.path)} agents, the most is {MAX_HOPS}",
                hint="is there a loop? `sparkplug topology` shows who asks whom",
            )
        return {
            "correlation": self.correlation,
            "causation": self.request,
            "traceparent": self.traceparent,
            "path": [*self.path, step],
        }


def _digest(content: Any) -> str:
    text = content if isinstance(content, str) else _json(content)
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()


def _json(content: Any) -> str:
    return json.dumps(
        dict(content) if isinstance(content, Mapping) else content, sort_keys=True, default=str
    )
