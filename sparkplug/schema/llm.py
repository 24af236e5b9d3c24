"""Models as settings name them, as hosts tell of them, and the ledger of their calls."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from sparkplug.schema.base import Document, Record, utc_now
from sparkplug.schema.units import Seconds

_HTTP_URL = re.compile(r"https?://\S+")
#: What a model is called in settings, agent files and listings.
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
#: The name of an environment variable; never the key itself.
VariableName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")]
Ability = Literal["tools", "json", "vision"]
ProviderKind = Literal["openai-compatible", "openai", "anthropic", "local"]

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"


def check_endpoint(value: str) -> str:
    """`value`, a base URL without a trailing slash or empty; ValueError when it is neither."""
    if value and not _HTTP_URL.fullmatch(value):
        raise ValueError("expected an HTTP URL, like http://127.0.0.1:8000/v1")
    return value.rstrip("/")


class ModelSection(Document):
    """A named model of `[llm.models.NAME]`: at an endpoint, or a folder served on this host."""

    provider: ProviderKind = Field("openai-compatible", description="whose protocol it speaks")
    endpoint: str = Field("", description="base URL; empty = the provider's own")
    model: str = Field("", description="its name there; empty = the first it lists")
    folder: str = Field("", description="of a local model: config.json, weights, tokenizer")
    api_key_env: VariableName = Field("", description="environment variable that holds the key")
    api_key_file: str = Field("", description="path of a file (0600) that holds the key")
    price_in: float = Field(0.0, ge=0, description="money for a million tokens sent")
    price_out: float = Field(0.0, ge=0, description="money for a million tokens written")
    context: int = Field(0, ge=0, description="tokens it takes in all; 0 = not known")
    abilities: list[Ability] = Field(default=["tools", "json"])
    fallback: list[ModelName] = Field(
        default_factory=list, description="models asked instead when it fails"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?|GPU-[A-Za-z0-9-]+)$",
        description="of a local model",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of a local model; auto = bfloat16 on a GPU, float32 on a CPU"
    )
    idle: Seconds = Field(600.0, gt=0, description="a local model nobody asks is unloaded after")
    batch: int = Field(16, ge=1, le=1024, description="answers it writes at once")

    @field_validator("endpoint")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        return check_endpoint(value)

    @model_validator(mode="after")
    def _is_somewhere(self) -> ModelSection:
        if self.folder and self.provider == "openai-compatible" and not self.endpoint:
            self.provider = "local"
        if self.provider == "local" and not self.folder:
            raise ValueError('a local model is a folder: folder = "/path"')
        if self.provider != "local" and self.folder:
            raise ValueError("folder is of a local model, endpoint of another: not both")
        if self.provider == "openai-compatible" and not self.endpoint:
            raise ValueError("endpoint is missing, like http://127.0.0.1:8000/v1")
        return self


class ModelState(StrEnum):
    """How a model is, as the node that looks at it tells."""

    READY = "ready"
    LOADING = "loading"
    UNLOADED = "unloaded"
    FAILING = "failing"


class Reach(StrEnum):
    """From where an endpoint can be asked."""

    HOST = "host"
    MESH = "mesh"
    OUTSIDE = "outside"


class ModelView(Record):
    """A model that can be asked, as the node of `host` sees it. It holds no key."""

    name: str = Field(description="what settings and agents call it")
    provider: ProviderKind = "openai-compatible"
    server: str = Field("", description="what serves it: vllm, ollama, …; empty = not known")
    endpoint: str = ""
    model: str = Field("", description="its name at the endpoint")
    host: str = Field("", description="whose node tells of it")
    source: Literal["settings", "found", "local"] = "settings"
    reach: Reach = Reach.OUTSIDE
    state: ModelState = ModelState.READY
    reason: str | None = None
    abilities: list[Ability] = Field(default_factory=list)
    context: int = 0
    price_in: float = 0.0
    price_out: float = 0.0
    api_key_env: str = ""
    api_key_file: str = ""
    fallback: list[str] = Field(default_factory=list)
    running: int | None = Field(None, description="requests it works on now")
    waiting: int | None = Field(None, description="requests that wait for it")
    gpus: list[str] = Field(default_factory=list, description="UUIDs of the GPUs it is on")
    device: str = ""
    dtype: str = ""
    memory_bytes: int | None = None
    pid: int | None = None
    latency_ms: float | None = Field(None, description="of the last look at it")
    checked: datetime = Field(default_factory=utc_now)

    @property
    def identity(self) -> str:
        """What tells a model at an endpoint from all others."""
        where = self.endpoint or f"{self.provider}@{self.host}"
        return f"{where}#{self.model or self.name}"


class ModelsRequest(Record):
    """Ask a node for the models it knows: its own, or those of the whole mesh."""

    mesh: bool = False


class ModelsReply(Record):
    """What it knows."""

    node: str
    models: list[ModelView] = Field(default_factory=list)


class LoadRequest(Record):
    """Have a node load a local model of its settings."""

    name: str


class RouteRequest(Record):
    """Ask a node whom one of its agents would ask: by a name, or `auto`, with these needs."""

    wanted: str = "auto"
    abilities: list[Ability] = Field(default_factory=list)
    context: int = Field(0, ge=0, description="tokens the conversation has; 0 = not known")


class RouteChoice(Record):
    """A model, and what put it where it is; of one that is left out why."""

    model: ModelView
    reasons: list[str]


class RouteReply(Record):
    """The models in the order they would be asked, and those that would not be."""

    node: str
    choices: list[RouteChoice] = Field(default_factory=list)
    left_out: list[RouteChoice] = Field(default_factory=list)


class EnergySpan(Record):
    """A stretch of time on some GPUs: what did they take?"""

    gpus: list[str]
    began: datetime
    seconds: float = Field(ge=0)


class EnergyRequest(Record):
    """Ask a node what its GPUs took over these stretches."""

    spans: list[EnergySpan] = Field(max_length=1024)


class EnergyReply(Record):
    """Joules of each stretch; None where the GPUs do not tell."""

    joules: list[float | None]


class CallRecord(Record):
    """One call of a model: an attempt that reached for a server. Written to the ledger once."""

    id: str
    agent: str
    replica: str = ""
    host: str = Field("", description="where the agent ran")
    run: str = ""
    step: str = ""
    task: str = ""
    trace: str = ""
    model: str = Field(description="the name it goes by")
    served: str = Field("", description="the model's name at the endpoint")
    endpoint: str = ""
    server_host: str = Field("", description="the host of the mesh that served it; empty = none")
    gpus: list[str] = Field(default_factory=list)
    began: datetime = Field(default_factory=utc_now)
    first_token_seconds: float | None = None
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_estimated: bool = Field(False, description="the server did not tell, or not to the end")
    joules: float | None = None
    joules_estimated: bool = Field(False, description="a share of a server that others used too")
    cost: float = Field(0.0, description="money, by the prices of the settings")
    currency: str = ""
    attempt: int = 1
    outcome: str = Field("ok", description="ok, cancelled, or the code of the error")


class LedgerBatch(Record):
    """Calls of one agent, as they are stored in the ledger."""

    calls: list[CallRecord] = Field(max_length=1024)


class ModelUsage(Record):
    """What calls of one agent, run, model or host added up to."""

    key: str
    calls: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = Field(False, description="some tokens or joules are estimates")
    seconds: float = 0.0
    first_token_ms: float | None = Field(None, description="mean, of the calls that gave one")
    tokens_per_second: float | None = Field(None, description="written, over the time of calls")
    joules: float | None = None
    cost: float = 0.0
    currency: str = ""
    last: datetime | None = None
