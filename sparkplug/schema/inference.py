"""Inference servers of a host: what serves which models, and how busy it is. null = not told."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from sparkplug.schema.base import Record


class ServerState(StrEnum):
    """How an inference server answers."""

    OK = "ok"
    LOADING = "loading"
    REFUSED = "refused"
    NOT_ANSWERING = "not_answering"


class ServedModel(Record):
    """A model that a server offers.

    `loaded` is false for one the server would load first; null where it does not tell.
    """

    name: str
    loaded: bool | None = None
    context_tokens: int | None = None
    size_bytes: int | None = None
    gpu_bytes: int | None = Field(None, description="of it in GPU memory")
    parameters: str | None = Field(None, description="as the server writes it, like 8.0B")
    quantization: str | None = None


class InferenceServer(Record):
    """One server at one moment. Rates are over the time since it was asked before."""

    kind: str = Field(description="vllm, llama.cpp, ollama, sglang, tgi, …; else prometheus")
    url: str = Field(description="of its HTTP API, without /v1; http://127.0.0.1:PORT mostly")
    openai: bool = Field(False, description="it answers OpenAI's API below /v1")
    state: ServerState = ServerState.OK
    reason: str | None = Field(None, description="why it is not ok, in words")
    age_seconds: float = Field(0.0, description="of these figures; rises while it is silent")
    version: str | None = None
    pid: int | None = Field(None, description="of the process that listens; null: not ours to see")
    name: str | None = Field(None, description="of that process")
    agent: str | None = Field(None, description="the agent that owns the process, name/replica")
    gpus: list[str] = Field(default_factory=list, description="UUIDs its processes hold memory on")
    models: list[ServedModel] = Field(default_factory=list)
    requests_running: int | None = None
    requests_waiting: int | None = None
    prompt_tokens_per_second: float | None = None
    generated_tokens_per_second: float | None = None
    prompt_tokens_total: float | None = None
    generated_tokens_total: float | None = None
    first_token_seconds: float | None = Field(
        None, description="mean time to first token of the last minute's requests"
    )
    first_token_p95_seconds: float | None = Field(
        None, description="the same, of the slowest in twenty, from the server's histogram"
    )
    kv_cache_percent: float | None = None
