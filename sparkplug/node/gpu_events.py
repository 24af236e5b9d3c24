"""Events about GPUs, told once when they begin: XID and others, throttling, loss, recovery."""

from __future__ import annotations

from sparkplug.bus.events import EventLog
from sparkplug.schema.event import present
from sparkplug.schema.host import Gpu, GpuEvent, GpuState, HostSample, Xid
from sparkplug.telemetry.gpu.clock_events import THROTTLING


class GpuEvents:
    """Compares each sample with the one before."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._throttled: set[str] = set()
        self._lost: set[str] = set()
        self._stale: set[str] = set()
        self._seen: set[tuple[str, str, int | str]] = set()

    def take(self, sample: HostSample) -> None:
        """Emit what is new in a sample."""
        for xid in sample.xids:
            mark = (xid.uuid, xid.time.isoformat(), xid.xid)
            if mark not in self._seen:
                self._seen.add(mark)
                self._emit("gpu:xid", sample, xid.gpu, **_about(xid), xid=xid.xid)
        for event in sample.gpu_events:
            told = (event.uuid, event.time.isoformat(), event.kind)
            if told not in self._seen:
                self._seen.add(told)
                self._emit("gpu:event", sample, event.gpu, **_about(event), kind=event.kind)
        for gpu in sample.gpus:
            self._compare(sample, gpu)

    def _compare(self, sample: HostSample, gpu: Gpu) -> None:
        if gpu.state is GpuState.LOST and gpu.uuid not in self._lost:
            self._lost.add(gpu.uuid)
            self._emit("gpu:lost", sample, gpu.index, uuid=gpu.uuid)
        elif gpu.state is GpuState.STALE and gpu.uuid not in self._stale:
            self._stale.add(gpu.uuid)
            self._emit("gpu:stale", sample, gpu.index, uuid=gpu.uuid, age=gpu.age_seconds)
        elif gpu.state is GpuState.OK and gpu.uuid in self._lost | self._stale:
            self._lost.discard(gpu.uuid)
            self._stale.discard(gpu.uuid)
            self._emit("gpu:recovered", sample, gpu.index, uuid=gpu.uuid)
        reasons = sorted(THROTTLING & set(gpu.clock_event_reasons))
        if reasons and gpu.uuid not in self._throttled:
            self._throttled.add(gpu.uuid)
            self._emit("gpu:throttled", sample, gpu.index, reasons=reasons)
        elif not reasons:
            self._throttled.discard(gpu.uuid)

    def _emit(self, name: str, sample: HostSample, index: int, **data: object) -> None:
        self._events.emit(name, f"{sample.host}/gpu{index}", data=data)


def _about(event: GpuEvent | Xid) -> dict[str, object]:
    return {"meaning": event.meaning, **present(remedy=event.remedy)}
