"""What agents say of themselves: reports on a subject of ours, or inside the protocol's beats."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import AgentReport
from sparkplug.schema.base import Record

log = logging.getLogger(__name__)

_MAX_REPORT_BYTES = 256 << 10


class Reports:
    """Hands over each report that holds."""

    def __init__(self, bus: Bus, told: Callable[[AgentReport], None]) -> None:
        self._bus = bus
        self._told = told

    async def listen(self, others: Callable[[Msg], Awaitable[None]]) -> None:
        """From now on; `others` gets the beats of foreign agents."""
        self._others = others
        await self._bus.nc.subscribe(subjects.AGENT_STATES, cb=self._on_report)
        await self._bus.nc.subscribe(subjects.HEARTBEATS, cb=self._on_heartbeat)

    async def _on_report(self, message: Msg) -> None:
        self._take(message.data)

    async def _on_heartbeat(self, message: Msg) -> None:
        # Ours carry a report among the protocol's extra fields; foreign ones do not.
        if b'"sparkplug"' in message.data:
            self._take(message.data, inside="sparkplug")
        else:
            await self._others(message)

    def _take(self, data: bytes, inside: str = "") -> None:
        if len(data) > _MAX_REPORT_BYTES:
            return
        try:
            if inside:
                report = _Beat.model_validate_json(data).sparkplug
            else:
                report = AgentReport.model_validate_json(data)
        except ValidationError as error:
            log.debug("a report that does not hold: %s", error)
            return
        self._told(report)


class _Beat(Record):
    """A heartbeat of ours: the report travels in the field `sparkplug`."""

    sparkplug: AgentReport
