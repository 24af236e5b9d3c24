"""What one question to the GPUs of a host brings."""

from __future__ import annotations

from pydantic import BaseModel, Field

from sparkplug.schema.host import Driver, Gpu, GpuState, Xid


class GpuReading(BaseModel):
    """The driver and its GPUs at one moment, and the XID events seen so far, newest last."""

    driver: Driver
    gpus: list[Gpu] = Field(default_factory=list)
    xids: list[Xid] = Field(default_factory=list)


class NumberedXid(Xid):
    """An XID event with its number since the worker started."""

    sequence: int


class WorkerAnswer(BaseModel):
    """One line of the worker process."""

    id: int
    driver: Driver
    gpus: list[Gpu]
    xids: list[NumberedXid]


def identity_only(gpu: Gpu) -> Gpu:
    """The GPU with nothing but what names it: its metrics are not known now."""
    return Gpu(index=gpu.index, uuid=gpu.uuid, name=gpu.name, state=GpuState.ERROR)
