"""Asking one server what it is and how it is: vLLM, llama.cpp, Ollama, and any with metrics.

Sources: Ollama's API (GET /api/version, /api/ps, /api/tags); llama.cpp tools/server/README.md
(GET /health, /props, /v1/models, /slots); OpenAI's API (GET /v1/models).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from sparkplug.schema.inference import ServedModel, ServerState
from sparkplug.telemetry.inference.http import Answer, NoAnswerError, get
from sparkplug.telemetry.inference.metrics import NotMetricsError, Page, read_page

DEADLINE_SECONDS = 2.0
#: Of names and lists a server gives: it may say anything.
_NAME = 200
_MODELS = 64


class NoServerError(Exception):
    """What listens there is no inference server."""


@dataclass
class Said:
    """What a server says of itself now."""

    kind: str
    state: ServerState = ServerState.OK
    reason: str | None = None
    openai: bool = False
    version: str | None = None
    models: list[ServedModel] = field(default_factory=list)
    page: Page | None = None
    running: int | None = None


async def ask(url: str, kind: str = "") -> Said:
    """Ask the server at `url`; `kind` is what it was before, when it is known.

    Raises NoAnswerError when nothing answers there, NoServerError when it is something else.
    """
    if kind == "ollama":
        return await _ollama(url)
    metrics, models = await asyncio.gather(_get(url, "/metrics"), _get(url, "/v1/models"))
    if isinstance(metrics, NoAnswerError) and isinstance(models, NoAnswerError):
        raise metrics
    page = _page(metrics)
    served = _openai_models(models)
    if page is None and not kind:
        version = await _get(url, "/api/version")
        if isinstance(version, Answer) and "version" in _object(version):
            return await _ollama(url)
    owned = _owner(models)
    engine = page.engine if page is not None else ""
    if engine in ("", "prometheus"):
        engine = {"llamacpp": "llama.cpp", "vllm": "vllm", "sglang": "sglang"}.get(owned, engine)
    health = await _get(url, "/health") if engine != "prometheus" else None
    if not engine and _is_loading_llama(models, health):
        engine = "llama.cpp"
    if not engine and kind:
        engine = kind
    if not engine:
        # An OpenAI API alone is no engine we know, and still serves models.
        if served is None:
            raise NoServerError("no metrics and no models of an inference server")
        engine = "openai"
    said = Said(engine, openai=served is not None, models=served or [], page=page)
    if page is not None and not said.models:
        said.models = [ServedModel(name=_name(model), loaded=True) for model in page.models]
    _judge(said, metrics, models, health)
    if engine == "llama.cpp":
        await _llama(url, said)
    elif engine == "vllm":
        version = await _get(url, "/version")
        if isinstance(version, Answer):
            said.version = _text(_object(version).get("version"))
    return said


def _judge(said: Said, metrics: _Got, models: _Got, health: _Got | None) -> None:
    """Its state: whether it loads, or will not tell."""
    answers = [answer for answer in (metrics, models, health) if isinstance(answer, Answer)]
    if any(answer.status == 503 for answer in answers):
        said.state, said.reason = ServerState.LOADING, "its model is being loaded"
    elif said.page is None and any(answer.status in (401, 403) for answer in answers):
        said.state = ServerState.REFUSED
        said.reason = "it asks for a key and does not tell its metrics without"
    elif said.page is None:
        hint = "; start it with --metrics" if said.kind == "llama.cpp" else ""
        said.reason = f"it tells no metrics{hint}"


_Got = Answer | NoAnswerError


async def _get(url: str, path: str) -> _Got:
    try:
        return await get(url, path, deadline=DEADLINE_SECONDS)
    except NoAnswerError as error:
        return error


def _page(answer: _Got) -> Page | None:
    if isinstance(answer, NoAnswerError) or answer.status != 200:
        return None
    try:
        return read_page(answer.body.decode(errors="replace"))
    except NotMetricsError:
        return None


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        return {}
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, dict)][:_MODELS]


def _openai_models(answer: _Got) -> list[ServedModel] | None:
    """The models of OpenAI's list; None when that API is not there."""
    if isinstance(answer, NoAnswerError):
        return None
    data = _object(answer).get("data")
    if not isinstance(data, list):
        return None
    found = []
    for row in _rows(data):
        meta = row.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        found.append(
            ServedModel(
                name=_name(row.get("id")),
                loaded=True,
                context_tokens=_whole(row.get("max_model_len")) or _whole(meta.get("n_ctx")),
                size_bytes=_whole(meta.get("size")),
            )
        )
    return found


def _owner(answer: _Got) -> str:
    if isinstance(answer, NoAnswerError):
        return ""
    rows = _rows(_object(answer).get("data"))
    return str(rows[0].get("owned_by", "")) if rows else ""


def _is_loading_llama(*answers: _Got | None) -> bool:
    """While it loads, llama.cpp answers everything with 503 and an error of its own form."""
    for answer in answers:
        if isinstance(answer, Answer) and answer.status == 503:
            try:
                found = json.loads(answer.body)
            except (ValueError, RecursionError):
                continue
            error = found.get("error") if isinstance(found, dict) else None
            if isinstance(error, dict) and "oading model" in str(error.get("message")):
                return True
    return False


async def _llama(url: str, said: Said) -> None:
    """What llama.cpp tells beside its metrics: its build, and slots when it has no metrics."""
    props = await _get(url, "/props")
    if isinstance(props, Answer):
        found = _object(props)
        said.version = _text(found.get("build_info"))
        settings = found.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else None
        for model in said.models:
            model.context_tokens = model.context_tokens or _whole(context)
    if said.page is None and said.state is ServerState.OK:
        slots = await _get(url, "/slots")
        if isinstance(slots, Answer) and slots.status == 200:
            try:
                rows = _rows(json.loads(slots.body))
            except (ValueError, RecursionError):
                return
            said.running = sum(bool(row.get("is_processing")) for row in rows)


async def _ollama(url: str) -> Said:
    """Ollama tells which models are loaded and where they lie, and no figures of requests."""
    version, running, there = await asyncio.gather(
        _get(url, "/api/version"), _get(url, "/api/ps"), _get(url, "/api/tags")
    )
    if isinstance(version, NoAnswerError):
        raise version
    said = Said("ollama", openai=True, version=_text(_object(version).get("version")))
    if said.version is None:
        raise NoServerError("it does not tell Ollama's version")
    found: dict[str, ServedModel] = {}
    for answer, loaded in ((there, False), (running, True)):
        for row in _rows(_object(answer).get("models") if isinstance(answer, Answer) else None):
            details = row.get("details")
            details = details if isinstance(details, dict) else {}
            name = _name(row.get("name"))
            found[name] = ServedModel(
                name=name,
                loaded=loaded,
                context_tokens=_whole(row.get("context_length")),
                size_bytes=_whole(row.get("size")),
                gpu_bytes=_whole(row.get("size_vram")) if loaded else None,
                parameters=_text(details.get("parameter_size")),
                quantization=_text(details.get("quantization_level")),
            )
    said.models = sorted(found.values(), key=lambda model: (not model.loaded, model.name))
    return said


def _whole(value: Any) -> int | None:
    # Beyond 2**63 nothing counts bytes or tokens.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < 2**63 else None


def _text(value: Any) -> str | None:
    return value[:_NAME] if isinstance(value, str) and value else None


def _name(value: Any) -> str:
    return str(value)[:_NAME] if value is not None else "?"
