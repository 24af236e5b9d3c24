"""What a model process is told on its standard input, and what it says back: a JSON line each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record


class ModelJob(Record):
    """Which model to serve, and how. The token is what callers have to show."""

    name: str
    folder: str
    device: Literal["cpu", "cuda"] = "cpu"
    or_cpu: bool = Field(False, description="on the CPU where torch cannot use the GPU")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: int = 16
    idle: float = Field(600.0, description="seconds without a request after which it ends")
    token: str = Field("", repr=False)


class ModelWord(Record):
    """What the process says: that it is ready and where, or why it is not."""

    kind: Literal["ready", "failed"]
    error: str = ""
    hint: str = ""
    port: int = 0
    device: str = ""
    dtype: str = ""
    parameters: int = 0
    memory_bytes: int = Field(0, description="of the weights")
    context: int = Field(0, description="tokens it takes in all; 0 = it does not say")
    tools: bool = Field(False, description="its template knows tools")
    seconds: float = Field(0.0, description="it took to load")
