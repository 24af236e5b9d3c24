"""Agents that others host on the same NATS: found by their heartbeats, shown, not managed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg
from synadia_ai.agents import HeartbeatPayload
from synadia_ai.agents.discovery import AgentInfo, build_agent_info, discover_agent_infos

from sparkplug.bus.connection import Bus
from sparkplug.clock import until_next
from sparkplug.node.observed import ObservedState, foreign_key
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import AgentState, StateSource

log = logging.getLogger(__name__)

_MISSED_BEATS = 3
_FORGET_AFTER_S = 600.0
_SWEEP_S = 30.0
_ASK_DEADLINE_S = 2.0
_MAX_BEAT_BYTES = 256 << 10


@dataclass(slots=True)
class _Known:
    observed: ObservedAgent
    heard: float
    interval: float


class ForeignAgents:
    """Everything on the agent protocol that carries no mark of ours."""

    def __init__(self, bus: Bus, observed: ObservedState) -> None:
        self._bus = bus
        self._observed = observed
        self._known: dict[str, _Known] = {}
        self._asking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow for ever."""
        swept = 0.0
        while True:
            if self._bus.connected and time.monotonic() - swept > _SWEEP_S:
                swept = time.monotonic()
                await self._sweep()
            self._age()
            await asyncio.sleep(until_next(1.0))

    def targets(self) -> list[ObservedAgent]:
        """Those that can be prompted now."""
        return [k.observed for k in self._known.values() if k.observed.state is AgentState.IDLE]

    async def _sweep(self) -> None:
        """Ask everybody once: an agent may have begun before we listened."""
        try:
            infos = await discover_agent_infos(
                self._bus.nc, timeout_s=None, stall_s=0.3, max_wait_s=_ASK_DEADLINE_S
            )
        except (TimeoutError, nats.errors.Error) as error:
            log.debug("discovery: %s", error)
            return
        for info in infos:
            self._learn(info)

    async def on_beat(self, message: Msg) -> None:
        """Take in a heartbeat that is none of ours."""
        if len(message.data) > _MAX_BEAT_BYTES:
            return
        try:
            beat = HeartbeatPayload.model_validate_json(message.data)
        except ValueError:
            return
        known = self._known.get(beat.instance_id)
        if known is not None:
            known.heard, known.interval = time.monotonic(), float(beat.interval_s)
            if known.observed.state is AgentState.STALE:
                self._set(known, AgentState.IDLE, None)
        elif beat.instance_id not in self._asking:
            self._asking.add(beat.instance_id)
            task = asyncio.create_task(self._ask(beat.instance_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, instance: str) -> None:
        try:
            reply = await self._bus.nc.request(
                f"$SRV.INFO.agents.{instance}", b"", timeout=_ASK_DEADLINE_S
            )
            info = build_agent_info(json.loads(reply.data))
        except (TimeoutError, nats.errors.Error, ValueError) as error:
            log.debug("who is %s: %s", instance, error)
            return
        finally:
            self._asking.discard(instance)
        if info is not None:
            self._learn(info)

    def _learn(self, info: AgentInfo) -> None:
        if "sparkplug" in info.metadata or info.instance_id in self._known:
            return
        observed = ObservedAgent(
            name=info.agent,
            replica=info.session_name,
            runtime=str(info.metadata.get("runtime") or info.metadata.get("platform") or "foreign"),
            owner=info.owner,
            description=info.description,
            state=AgentState.IDLE,
            instance=info.instance_id,
            subject=info.prompt_endpoint.subject,
            max_payload=info.prompt_endpoint.max_payload_bytes,
            senders=info.prompt_endpoint.min_sender_trust,
            foreign=True,
            sdk=info.version,
        )
        self._known[info.instance_id] = known = _Known(observed, time.monotonic(), 30.0)
        self._observed.set(self._key(known), observed)

    def _key(self, known: _Known) -> str:
        observed = known.observed
        return foreign_key(observed.name, observed.owner, observed.replica)

    def _age(self) -> None:
        now = time.monotonic()
        for instance, known in list(self._known.items()):
            silent = now - known.heard
            if silent > _FORGET_AFTER_S:
                del self._known[instance]
                if not any(self._key(k) == self._key(known) for k in self._known.values()):
                    self._observed.remove(self._key(known))
            elif (
                silent > known.interval * _MISSED_BEATS
                and self._bus.connected
                and known.observed.state is not AgentState.STALE
            ):
                self._set(known, AgentState.STALE, "its heartbeats stopped")

    def _set(self, known: _Known, state: AgentState, reason: str | None) -> None:
        source = StateSource.NODE if state is AgentState.STALE else StateSource.AGENT
        known.observed.enter(state, source, reason)
        self._observed.set(self._key(known), known.observed)
