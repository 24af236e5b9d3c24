"""What one question to the GPUs of a host brings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sparkplug.schema.gpu import Driver, Gpu, GpuEvent, GpuState, Xid


class GpuReading(BaseModel):
    """The driver and its GPUs at one moment, and the events seen so far, newest last."""

    driver: Driver
    gpus: list[Gpu] = Field(default_factory=list)
    xids: list[Xid] = Field(default_factory=list)
    events: list[GpuEvent] = Field(default_factory=list)


class NumberedXid(Xid):
    """An XID event with its number since the worker started."""

    sequence: int


class NumberedEvent(GpuEvent):
    """Another event with its number since the worker started."""

    sequence: int


class WorkerAnswer(BaseModel):
    """One line of the worker process: a sample, or what came of an order."""

    id: int
    driver: Driver | None = None
    gpus: list[Gpu] = Field(default_factory=list)
    xids: list[NumberedXid] = Field(default_factory=list)
    events: list[NumberedEvent] = Field(default_factory=list)
    done: dict[str, Any] | None = None
    error: str | None = None


def identity_only(gpu: Gpu, state: GpuState, age: float | None = None) -> Gpu:
    """The GPU with nothing but what names it: its metrics are not known now."""
    return Gpu(
        index=gpu.index,
        uuid=gpu.uuid,
        name=gpu.name,
        state=state,
        age_seconds=age,
        # Not a figure: whether it has memory of its own does not change.
        unified_memory=gpu.unified_memory,
    )
