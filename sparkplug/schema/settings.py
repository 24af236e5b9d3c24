"""The settings: every section and key a settings file may hold, with the built-in values."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from sparkplug.schema.base import Document
from sparkplug.schema.llm import ModelName, ModelSection, VariableName, check_endpoint
from sparkplug.schema.memory import SCOPE
from sparkplug.schema.mesh import check_nats_urls, parse_addresses
from sparkplug.schema.units import Bytes, Seconds

#: A name that can stand in a subject and in a bucket's key.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
_ALIAS = re.compile(r"\w[\w-]{0,30}!?")


def host_name() -> str:
    """This host's name, its first label, with what a subject cannot hold turned into `-`."""
    label = os.uname().nodename.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]", "-", label).strip("-_")[:63] or "host"


class NodeSection(Document):
    """This host's node."""

    name: Name = Field(default_factory=host_name, description="default: the host's name")
    labels: dict[str, str] = Field(default_factory=dict, description="what placement can ask for")
    state: str = Field("", description="folder of state, secrets and logs; empty = the usual one")


class NatsSection(Document):
    """The NATS server: somebody's, or a private one."""

    url: str = Field("", description="empty = a private server of this host")
    creds: str = Field("", description="path of a credentials file for that URL")
    ca: str = Field("", description="path of the certificate that server is trusted by")
    signing_key: str = Field("", description="path of a signing key for agents at that URL")
    listen: str = Field("", description="address for other hosts; empty = this host alone")
    advertise: str = Field("", description="addresses others reach it at, when not that one")
    port: int = Field(0, ge=0, le=65535, strict=True, description="0 = chosen once and kept")
    max_memory: Bytes = Field(256 << 20, description="bytes JetStream may hold in memory")
    max_store: Bytes = Field(4 << 30, description="bytes JetStream may hold on disk")
    max_payload: Bytes = Field(8 << 20, ge=1024, le=64 << 20, description="bytes of one message")
    server: str = Field("", description="path of a nats-server; empty = found")

    @field_validator("listen", "advertise")
    @classmethod
    def _are_addresses(cls, value: str, info: ValidationInfo) -> str:
        if len(parse_addresses(value)) > 1 and info.field_name == "listen":
            raise ValueError("expected one address; 0.0.0.0 is all of this host's")
        return value

    @field_validator("url")
    @classmethod
    def _is_nats_url(cls, value: str) -> str:
        return check_nats_urls(value) if value else value


class AgentsSection(Document):
    """How agent processes are started, stopped and logged."""

    ready_timeout: Seconds = Field(30.0, gt=0, description="seconds until it must be on the bus")
    stop_timeout: Seconds = Field(10.0, description="seconds to finish its work when stopped")
    log_max: Bytes = Field(10 << 20, ge=4096, description="bytes of a log before it is rotated")
    log_keep: int = Field(3, ge=0, le=100, strict=True, description="rotated logs that are kept")
    shared_max: int = Field(
        250, ge=1, le=1000, strict=True, description="agents of `isolation: shared` in one process"
    )


class TelemetrySection(Document):
    """How often this host is measured."""

    period: Seconds = Field(1.0, ge=0.1, description="seconds between two samples")
    history: Seconds = Field(3600.0, description="seconds of each agent's usage that are kept")
    history_max: Bytes = Field(
        64 << 20, description="bytes on disk for the host's figures of 30 days; 0 = none"
    )
    prometheus_port: int = Field(
        0, ge=0, le=65535, strict=True, description="of loopback, for Prometheus; 0 = none"
    )
    inference: bool = Field(True, strict=True, description="look for inference servers here")
    inference_urls: str = Field("", description="more of them, HTTP URLs between commas")

    @field_validator("inference_urls")
    @classmethod
    def _are_http_urls(cls, value: str) -> str:
        for url in filter(None, (part.strip() for part in value.split(","))):
            if not re.fullmatch(
                r"http://[^\s/,:]+(:\d+)?(/\S*)?|http://\[[0-9a-f:]+\](:\d+)?", url
            ):
                raise ValueError(f"expected HTTP URLs like http://127.0.0.1:8000, not {url!r}")
        return value


class LlmSection(Document):
    """The models agents think with: one endpoint (OpenAI's API), and those named beside it."""

    endpoint: str = Field("", description="base URL; empty = none")
    model: str = Field("", description="model name; empty = the first the endpoint lists")
    api_key_env: VariableName = Field(
        "OPENAI_API_KEY",
        description="the environment variable that holds the key, never the key itself",
    )
    timeout: Seconds = Field(120.0, gt=0, description="seconds for one answer, all tries of it")
    connect_timeout: Seconds = Field(3.0, gt=0, description="seconds to reach an endpoint")
    first_token_timeout: Seconds = Field(30.0, gt=0, description="seconds until it begins")
    token_timeout: Seconds = Field(15.0, gt=0, description="seconds between two tokens")
    retries: int = Field(4, ge=0, le=20, strict=True, description="more tries of a failed call")
    repairs: int = Field(
        2, ge=0, le=10, strict=True, description="times a malformed answer is asked for again"
    )
    discover: bool = Field(True, strict=True, description="look for servers of models on hosts")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="of all prices")
    models: dict[ModelName, ModelSection] = Field(
        default_factory=dict, description="[llm.models.NAME]: endpoint or folder, price, abilities"
    )

    @field_validator("endpoint")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        return check_endpoint(value)

    @property
    def key_variables(self) -> frozenset[str]:
        """The environment variables that hold keys of models: agents are given them."""
        named = {self.api_key_env, *(model.api_key_env for model in self.models.values())}
        return frozenset(filter(None, named))


class MemorySection(Document):
    """What agents remember: where it is kept, by what it is compared, who may read it."""

    enabled: bool = Field(True, strict=True, description="false: this host never keeps it")
    store: str = Field("chroma", description="Mem0's vector store: chroma, qdrant, pgvector, …")
    store_config: dict[str, Any] = Field(
        default_factory=dict, description="what Mem0 is told of it, like { host = …, port = … }"
    )
    store_secret_env: dict[str, str] = Field(
        default_factory=dict, description="key of store_config -> environment variable"
    )
    embedder: str = Field(
        "auto", description="auto, lexical, onnx, a folder with a model, or the URL of an endpoint"
    )
    embedder_model: str = Field("", description="of an endpoint: the model's name")
    embedder_key_env: str = Field("", description="of an endpoint: the variable with its key")
    extract: Literal["auto", "never"] = Field(
        "auto", description="auto: what asks for it is read by the model of [llm]"
    )
    quarantine: Literal["outside", "all", "never"] = Field(
        "outside", description="whose memories with instructions in them wait for a review"
    )
    groups: dict[str, list[str]] = Field(
        default_factory=dict, description="group -> its agents; * is all"
    )
    readers: dict[str, list[str]] = Field(
        default_factory=dict, description="scope -> agents that may read it, too"
    )
    quota_items: int = Field(100_000, ge=1, strict=True, description="memories of one agent")
    quota_bytes: Bytes = Field(256 << 20, ge=1024, description="bytes of one agent's memories")
    half_life: Seconds = Field(
        30 * 86400.0, gt=0, description="after so long unread a memory counts half"
    )

    @field_validator("store")
    @classmethod
    def _is_store(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9_]{1,40}", value):
            raise ValueError("expected a name of Mem0's, like chroma, qdrant, pgvector or weaviate")
        return value

    @field_validator("readers")
    @classmethod
    def _are_scopes(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for scope in value:
            if not SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope: agent:NAME, owner:NAME, group:NAME, mesh")
        return value


class TuiSection(Document):
    """The control centre."""

    theme: str = "neon"
    mouse: bool = Field(True, strict=True)
    keys: Literal["default", "vim"] = "default"
    restore: bool = Field(True, strict=True, description="go on where one was the last time")
    keymap: dict[str, str] = Field(default_factory=dict, description="action id -> key")
    aliases: dict[str, str] = Field(
        default_factory=dict, description="short name -> words of the : line"
    )

    @field_validator("aliases")
    @classmethod
    def _are_words(cls, value: dict[str, str]) -> dict[str, str]:
        for name, words in value.items():
            if not _ALIAS.fullmatch(name):
                raise ValueError(f"a short name is one word of letters and digits, not {name!r}")
            if not words.strip() or not words.isprintable():
                raise ValueError(f"{name} stands for the words of a line")
        return value


class PlansSection(Document):
    """Runs of plans: how many at once, and how long what is over is kept."""

    max_runs: int = Field(500, ge=1, le=10_000, strict=True, description="at once on this node")
    compact: Seconds = Field(
        7 * 86400.0, gt=0, description="seconds after its end until a run is kept as a summary"
    )
    keep: Seconds = Field(30 * 86400.0, gt=0, description="seconds after its end a run is kept")


class EventsSection(Document):
    """How long events are kept."""

    keep: Seconds = Field(7 * 86400.0, gt=0, description="seconds an event is kept")
    max: Bytes = Field(512 << 20, ge=1 << 20, description="bytes of all events")


class ObserveSection(Document):
    """What is shown of messages to who asks to see them; see docs/topology.md."""

    redact: list[str] = Field(
        default_factory=list, description="regular expressions: what matches is not shown"
    )
    max_body: Bytes = Field(4096, ge=0, le=64 << 10, description="bytes shown of one message")
    rate: int = Field(200, ge=1, le=1000, strict=True, description="messages shown in a second")

    @field_validator("redact")
    @classmethod
    def _are_expressions(cls, value: list[str]) -> list[str]:
        for rule in value:
            try:
                re.compile(rule)
            except re.error as error:
                raise ValueError(f"{rule!r} is no regular expression: {error}") from error
        return value


class TasksSection(Document):
    """The queues of tasks, as the node that keeps them has it."""

    queue_max: int = Field(
        100_000, ge=1, strict=True, description="tasks that may wait for one capability"
    )
    keep: Seconds = Field(3600.0, ge=5, description="seconds the end and answer of a task is kept")
    keep_max: int = Field(
        10_000, ge=10, strict=True, description="ended tasks that are kept; then shorter"
    )


class MeshSection(Document):
    """The mesh this host belongs to."""

    name: Name = "home"


class SettingsDocument(Document):
    """All sections. A file may leave out any of them, and any key."""

    node: NodeSection = Field(default_factory=NodeSection)
    nats: NatsSection = Field(default_factory=NatsSection)
    agents: AgentsSection = Field(default_factory=AgentsSection)
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    llm: LlmSection = Field(default_factory=LlmSection)
    memory: MemorySection = Field(default_factory=MemorySection)
    tui: TuiSection = Field(default_factory=TuiSection)
    plans: PlansSection = Field(default_factory=PlansSection)
    events: EventsSection = Field(default_factory=EventsSection)
    observe: ObserveSection = Field(default_factory=ObserveSection)
    tasks: TasksSection = Field(default_factory=TasksSection)
    mesh: MeshSection = Field(default_factory=MeshSection)
