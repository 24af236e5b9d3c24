"""Inference servers of a host in lines: what they serve and how busy they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, fit
from sparkplug.tui.figures import UNSUPPORTED, age, duration, meter, number, percent
from sparkplug.tui.panes.gpu_process_lines import figure_line

if TYPE_CHECKING:
    from sparkplug.schema.host import HostSample
    from sparkplug.schema.inference import InferenceServer

_MODELS = 3


def inference_lines(sample: HostSample) -> list[Line]:
    """Two lines for each server; none where there is none."""
    indexes = {gpu.uuid: gpu.index for gpu in sample.gpus}
    lines: list[Line] = []
    for server in sample.inference:
        lines += _server(server, [indexes[uuid] for uuid in server.gpus if uuid in indexes])
    return [(), *lines] if lines else []


def _server(server: InferenceServer, gpus: list[int]) -> list[Line]:
    where = server.url.removeprefix("http://127.0.0.1").removeprefix("http://")
    on = f" · gpu {','.join(map(str, gpus))}" if gpus else ""
    owner = f" · {server.agent}" if server.agent else ""
    head = figure_line(
        "serving",
        ("title", f"{one_line(server.kind)} "),
        ("dim", f"{one_line(where)} "),
        ("text", fit(_models(server), 40).rstrip()),
        ("dim", f"{on}{owner}"),
    )
    state = str(server.state)
    if state != "ok":
        old = f" for {age(server.age_seconds)}" if state == "not_answering" else ""
        why = f": {one_line(server.reason)}" if server.reason else ""
        pen = "warn" if state == "loading" else "bad"
        return [head, figure_line("", (pen, f"✖ {state.replace('_', ' ')}{old}{why}"))]
    if server.requests_running is None and server.generated_tokens_total is None:
        return [head, figure_line("", ("dim", one_line(server.reason or "it tells no figures")))]
    waiting = server.requests_waiting
    return [
        head,
        figure_line(
            "",
            ("text", f"{number(server.requests_running)} running "),
            ("warn" if waiting else "dim", f"{number(waiting)} waiting"),
            ("dim", " · tokens/s "),
            ("text", f"↓ {number(server.prompt_tokens_per_second)} "),
            ("text", f"↑ {number(server.generated_tokens_per_second)}"),
            ("dim", f" · first token {_first(server)} · kv "),
            *meter(server.kv_cache_percent, 6),
            ("text", f" {percent(server.kv_cache_percent)}"),
        ),
    ]


def _models(server: InferenceServer) -> str:
    loaded = [model.name for model in server.models if model.loaded is not False]
    names = loaded or [f"{model.name} (not loaded)" for model in server.models]
    more = f" and {len(names) - _MODELS} more" if len(names) > _MODELS else ""
    return ", ".join(one_line(name) for name in names[:_MODELS]) + more


def _first(server: InferenceServer) -> str:
    mean, slow = server.first_token_seconds, server.first_token_p95_seconds
    if mean is None:
        return UNSUPPORTED if server.first_token_p95_seconds is None else "—"
    return f"{duration(mean)} (p95 {duration(slow)})" if slow is not None else duration(mean)
