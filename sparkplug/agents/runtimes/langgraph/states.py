"""The state of a graph's threads, to be read and changed from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.thread import ThreadState, ThreadView

_MOST_THREADS = 200
#: Characters of one value of a state that are told.
_LONGEST_VALUE = 50_000


class ThreadStates:
    """What the port calls `Stateful`, over the checkpointer of a graph."""

    def __init__(self, graph: Any, agent: str) -> None:
        self._graph = graph
        self._agent = agent
        self._keeps = False

    async def threads(self) -> list[ThreadView]:
        """The threads that are kept, the newest first."""
        self._require_kept()
        found: dict[str, ThreadView] = {}
        lists = getattr(self._graph.checkpointer, "threads", None)
        if lists is not None:
            return list(await lists(_MOST_THREADS))
        async for one in self._graph.checkpointer.alist(None):
            thread = str(one.config["configurable"]["thread_id"])
            if one.config["configurable"].get("checkpoint_ns"):
                continue
            view = ThreadView(
                thread=thread,
                checkpoint=one.checkpoint["id"],
                updated=_time(one.checkpoint["ts"]),
                step=one.metadata.get("step"),
            )
            if thread not in found or found[thread].checkpoint < view.checkpoint:
                found[thread] = view
        newest = sorted(found.values(), key=lambda view: view.checkpoint, reverse=True)
        return newest[:_MOST_THREADS]

    async def state(self, thread: str, checkpoint: str = "") -> ThreadState:
        """The state of a thread, now or as of a checkpoint. Raises NotFoundError."""
        self._require_kept()
        return _told(thread, await self._snapshot(thread, checkpoint))

    async def history(self, thread: str, limit: int) -> list[ThreadState]:
        """The states of a thread, the newest first."""
        self._require_kept()
        states = self._graph.aget_state_history(_config(thread), limit=limit)
        found = [_told(thread, one) async for one in states]
        if not found:
            raise self._no_thread(thread)
        return found

    async def update(
        self, thread: str, values: Mapping[str, Any], as_node: str, checkpoint: str
    ) -> ThreadState:
        """Change the state of a thread, as if a node had.

        A new checkpoint after the newest, or after the one named: then that is gone on from.
        """
        self._require_kept()
        if thread == "":
            raise InvalidError("name the thread to change")
        self._check_known(values)
        before = await self._snapshot(thread, checkpoint)
        config = before.config if checkpoint else _config(thread)
        try:
            await self._graph.aupdate_state(config, dict(values), as_node=as_node or None)
        except (InvalidUpdateError, ValueError, TypeError) as error:
            raise InvalidError(
                f"the state does not take that: {error}",
                where=f"thread {thread}",
                hint="--as-node names the node that is to have written it",
            ) from error
        return await self.state(thread)

    def _check_known(self, values: Mapping[str, Any]) -> None:
        """LangGraph passes over what the state does not have, and would say that it is changed."""
        if not hasattr(self._graph, "builder") or "__root__" in self._graph.channels:
            return
        known = [name for name in self._graph.channels if not name.startswith(("__", "branch:"))]
        for name in values:
            if name not in known:
                raise InvalidError(
                    f"the state has no {name}{did_you_mean(name, known)}",
                    hint=f"it has {', '.join(known)}",
                )

    async def forget(self, thread: str) -> None:
        """Delete all that is kept of a thread."""
        self._require_kept()
        await self._snapshot(thread, "")
        await self._graph.checkpointer.adelete_thread(thread)

    async def _snapshot(self, thread: str, checkpoint: str) -> StateSnapshot:
        found: StateSnapshot = await self._graph.aget_state(_config(thread, checkpoint))
        if not found.config["configurable"].get("checkpoint_id") or found.metadata is None:
            raise self._no_thread(thread, checkpoint)
        return found

    def _require_kept(self) -> None:
        if not self._keeps:
            raise NotFoundError(
                f"{self._agent} keeps no checkpoints, so it has no threads",
                hint="its file says `checkpoints: none`",
            )

    def _no_thread(self, thread: str, checkpoint: str = "") -> NotFoundError:
        what = f"thread {thread}" + (f" at checkpoint {checkpoint}" if checkpoint else "")
        return NotFoundError(
            f"{self._agent} has no {what}",
            hint=f"`sparkplug threads list {self._agent}` shows those there are",
        )


def _config(thread: str, checkpoint: str = "") -> dict[str, Any]:
    configurable = {"thread_id": thread, "checkpoint_ns": ""}
    if checkpoint:
        configurable["checkpoint_id"] = checkpoint
    return {"configurable": configurable}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _told(thread: str, one: StateSnapshot) -> ThreadState:
    parent = (one.parent_config or {}).get("configurable", {})
    metadata: Mapping[str, Any] = one.metadata or {}
    return ThreadState(
        thread=thread,
        checkpoint=str(one.config["configurable"].get("checkpoint_id", "")),
        parent=str(parent.get("checkpoint_id", "")),
        created=_time(one.created_at),
        step=metadata.get("step"),
        source=str(metadata.get("source", "")),
        next=list(one.next),
        interrupts=[as_plain(interrupt.value) for interrupt in one.interrupts],
        values=as_plain(one.values),
    )


def as_plain(value: Any) -> Any:
    """A value of a state as JSON: messages by role and content, what is no JSON by its repr."""
    text = json.dumps(value, default=_plain, ensure_ascii=False)
    if len(text) <= _LONGEST_VALUE:
        return json.loads(text)
    if isinstance(value, Mapping):
        return {str(key): as_plain(one) for key, one in value.items()}
    if isinstance(value, list):
        # The newest of a conversation is at its end.
        return [f"… {len(value)} in all", *(as_plain(one) for one in value[-5:])]
    return text[:_LONGEST_VALUE] + "…"


def _plain(value: Any) -> Any:
    if hasattr(value, "content") and hasattr(value, "type"):
        told = {"role": value.type, "content": value.content}
        calls = getattr(value, "tool_calls", None)
        return {**told, "tool_calls": calls} if calls else told
    for name in ("model_dump", "_asdict"):
        if hasattr(value, name):
            return getattr(value, name)()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return repr(value)
