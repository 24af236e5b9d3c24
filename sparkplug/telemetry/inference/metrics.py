"""What an inference server's Prometheus page says, whatever its engine calls it.

Sources: vLLM "Production Metrics"; llama.cpp tools/server/README.md (GET /metrics); SGLang
"Production Metrics"; text-generation-inference "Metrics"; Triton "Metrics"; the text format is
Prometheus's own, read by prometheus_client's parser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

#: The engine by the beginning of its metrics' names.
ENGINES = {
    "vllm:": "vllm",
    "llamacpp:": "llama.cpp",
    "sglang:": "sglang",
    "lmdeploy:": "lmdeploy",
    "aphrodite:": "aphrodite",
    "trtllm_": "trtllm",
    "tgi_": "tgi",
    "nv_": "triton",
}
#: Names without their engine, in the order they are looked for. The last ones are in the way of
#: Prometheus, so that a server nobody listed is read when it speaks plainly.
_RUNNING = ("num_requests_running", "num_running_reqs", "requests_processing", "batch_current_size")
_WAITING = (
    "num_requests_waiting",
    "num_queue_reqs",
    "requests_deferred",
    "queue_size",
    "inference_pending_request_count",
)
_KV = ("kv_cache_usage_perc", "gpu_cache_usage_perc", "token_usage", "kv_cache_usage_ratio")
_PROMPT = ("prompt_tokens", "request_input_length")
_GENERATED = ("generation_tokens", "tokens_predicted", "request_generated_tokens")
_FIRST = ("time_to_first_token_seconds", "time_to_first_token")
_WANTED = (*_RUNNING, *_WAITING, *_KV, *_PROMPT, *_GENERATED, *_FIRST)


class NotMetricsError(Exception):
    """The text is not a page of metrics, or not of an inference server."""


@dataclass
class Histogram:
    """Counts at or below each bound (seconds), the sum and the count, all since the start."""

    buckets: dict[float, float] = field(default_factory=dict)
    total: float = 0.0
    count: float = 0.0

    def since(self, before: Histogram) -> Histogram:
        """What came after `before`; all of it when the server has begun anew."""
        if self.count < before.count:
            return self
        return Histogram(
            {bound: n - before.buckets.get(bound, 0.0) for bound, n in self.buckets.items()},
            self.total - before.total,
            self.count - before.count,
        )

    @property
    def mean(self) -> float | None:
        """The mean; None when nothing was counted."""
        return self.total / self.count if self.count > 0 else None

    def quantile(self, share: float) -> float | None:
        """The bound below which `share` of all lie, between two bounds by a straight line.

        Beyond the last finite bound that bound is all that is known. None when nothing was counted.
        """
        if self.count <= 0:
            return None
        wanted, low, below = share * self.count, 0.0, 0.0
        for bound in sorted(self.buckets):
            at = self.buckets[bound]
            if at >= wanted:
                if math.isinf(bound) or at <= below:
                    return low if math.isinf(bound) else bound
                return low + (bound - low) * (wanted - below) / (at - below)
            low, below = bound, at
        return low or None


@dataclass
class Page:
    """The figures of one page of metrics; None where the server has no such metric."""

    engine: str
    models: list[str] = field(default_factory=list)
    running: float | None = None
    waiting: float | None = None
    kv_percent: float | None = None
    prompt_tokens: float | None = None
    generated_tokens: float | None = None
    first_token: Histogram | None = None


def read_page(text: str) -> Page:
    """The page's figures. Raises NotMetricsError.

    Several engines or models behind one page are added up; of KV caches the fullest counts.
    """
    # Pages have thousands of lines of Python's and the system's own: parsing those would cost
    # more than all the rest.
    lines = [line for line in text.splitlines() if _wanted(line)]
    if not lines:
        raise NotMetricsError("there are no metrics of an inference server")
    from prometheus_client.parser import text_string_to_metric_families

    found = Page(engine="prometheus")
    sums: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    models: dict[str, None] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                engine, name = _plain(sample.name)
                if engine:
                    found.engine = engine
                model = sample.labels.get("model_name") or sample.labels.get("model")
                if model:
                    models[model] = None
                _add(name, sample.labels.get("le"), float(sample.value), sums, histograms)
    except ValueError as error:
        raise NotMetricsError(f"its metrics cannot be read: {error}") from error
    if not sums and not histograms:
        raise NotMetricsError("there are no metrics of an inference server")
    found.models = list(models)
    found.running, found.waiting = _first(sums, _RUNNING), _first(sums, _WAITING)
    share = _first(sums, _KV)
    found.kv_percent = None if share is None else 100.0 * share
    found.prompt_tokens = _tokens(_PROMPT, sums, histograms)
    found.generated_tokens = _tokens(_GENERATED, sums, histograms)
    found.first_token = next((histograms[n] for n in _FIRST if n in histograms), None)
    tokens = (found.prompt_tokens, found.generated_tokens, found.first_token, found.kv_percent)
    if found.engine == "prometheus" and all(figure is None for figure in tokens):
        # Many a program has a queue; only one that serves a model counts tokens.
        raise NotMetricsError("there are no metrics of an inference server")
    return found


def _wanted(line: str) -> bool:
    name = line.split(" ", 3)[2] if line.startswith("# TYPE ") else line
    return not name.startswith("#") and any(word in name for word in _WANTED)


def _plain(name: str) -> tuple[str, str]:
    """The engine, and the name without it."""
    for start, engine in ENGINES.items():
        if name.startswith(start):
            return engine, name[len(start) :]
    for word in _WANTED:
        at = name.find(word)
        if at > 0 and name[at - 1] in ":_":
            return "", name[at:]
    return "", name


def _add(
    name: str,
    bound: str | None,
    value: float,
    sums: dict[str, float],
    histograms: dict[str, Histogram],
) -> None:
    if not math.isfinite(value):
        return
    for ending in ("_bucket", "_sum", "_count"):
        if not name.endswith(ending) or name == "inference_pending_request_count":
            continue
        histogram = histograms.setdefault(name.removesuffix(ending), Histogram())
        if ending == "_bucket" and bound is not None:
            at = float(bound)
            histogram.buckets[at] = histogram.buckets.get(at, 0.0) + value
        elif ending == "_sum":
            histogram.total += value
        else:
            histogram.count += value
        return
    plain = name.removesuffix("_total")
    if plain in _KV:
        sums[plain] = max(sums.get(plain, 0.0), value)
    else:
        sums[plain] = sums.get(plain, 0.0) + value


def _first(sums: dict[str, float], names: Iterable[str]) -> float | None:
    return next((sums[name] for name in names if name in sums), None)


def _tokens(
    names: Iterable[str], sums: dict[str, float], histograms: dict[str, Histogram]
) -> float | None:
    """A counter of tokens, or the sum of a histogram of tokens by request."""
    for name in names:
        if name in sums:
            return sums[name]
        if name in histograms:
            return histograms[name].total
    return None
