"""Inference servers: found by process and port, asked over HTTP, against servers that speak so."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from fakes.inference_server import LLAMA_PAGE, inference_http, vllm_page
from sparkplug.schema.inference import InferenceServer, ServerState
from sparkplug.telemetry.inference.asking import NoServerError, ask
from sparkplug.telemetry.inference.finder import Finder
from sparkplug.telemetry.inference.http import MOST_BYTES, NoAnswerError, get
from sparkplug.telemetry.inference.metrics import NotMetricsError, read_page
from sparkplug.telemetry.inference.source import InferenceSource

MODEL = "meta-llama/Llama-3.1-8B"
VLLM_MODELS = {"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 131072}]}

#: A process that is called as vLLM is, with a child that could hold the GPU.
SERVER = """
import http.server, os, sys, time
child = os.fork()
if not child:
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open(sys.argv[1], "rb").read() if self.path == "/metrics" else b"no"
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, child, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def vllm_process(page: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A process called `vllm`, the port it listens on, and the pid of its child."""
    command = [sys.executable, "-c", SERVER, page, "vllm", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, child = (int(word) for word in process.stdout.readline().split())
        try:
            yield process, port, child
        finally:
            subprocess.run(["kill", "-9", str(child), str(process.pid)], check=False)


def source(urls: list[str], on_gpu: Mapping[int, list[str]] | None = None) -> InferenceSource:
    """A source that looks and asks whenever it is told to."""
    return InferenceSource(lambda: on_gpu or {}, urls=urls, every=0.0, find_every=0.0)


def of(servers: list[InferenceServer], url: str) -> InferenceServer:
    """The server at a URL."""
    return next(server for server in servers if server.url == url)


async def test_vllm_tells_models_queue_rates_first_token_and_cache() -> None:
    pages = {"/metrics": vllm_page(), "/v1/models": VLLM_MODELS, "/version": {"version": "0.10.2"}}
    async with inference_http(pages, chunked=True) as server:
        telemetry = source([server.url])
        await telemetry.read()
        first = of(telemetry.servers(), server.url)
        assert (first.kind, first.version, first.openai) == ("vllm", "0.10.2", True)
        assert [(m.name, m.context_tokens) for m in first.models] == [(MODEL, 131072)]
        assert (first.requests_running, first.requests_waiting) == (3, 2)
        assert first.kv_cache_percent == 37.5
        assert first.generated_tokens_per_second is None, "a rate needs two readings"
        assert first.first_token_seconds is None
        # Ten more requests, all of them slower than a tenth of a second.
        pages["/metrics"] = vllm_page(prompt=3000, generated=700, fast=10, all_=20, seconds=3.5)
        await telemetry.read()
        second = of(telemetry.servers(), server.url)
        assert second.prompt_tokens_total == 3000
        assert second.prompt_tokens_per_second is not None
        assert second.generated_tokens_per_second is not None
        ratio = second.prompt_tokens_per_second / second.generated_tokens_per_second
        assert ratio == pytest.approx(10, rel=0.01)
        assert second.first_token_seconds == pytest.approx(0.3)
        assert second.first_token_p95_seconds == pytest.approx(0.48)


async def test_a_server_that_began_anew_has_no_rates_below_zero() -> None:
    pages = {"/metrics": vllm_page(generated=90_000, all_=500, fast=500, seconds=9)}
    async with inference_http(pages) as server:
        telemetry = source([server.url])
        await telemetry.read()
        pages["/metrics"] = vllm_page(generated=10, all_=1, fast=1, seconds=0.05)
        await telemetry.read()
        seen = of(telemetry.servers(), server.url)
        assert seen.generated_tokens_per_second is not None
        assert seen.generated_tokens_per_second > 0
        assert seen.first_token_seconds == pytest.approx(0.05)


async def test_llama_cpp_with_and_without_metrics() -> None:
    models = {"data": [{"id": "qwen.gguf", "owned_by": "llamacpp", "meta": {"size": 5_000_000}}]}
    props = {"build_info": "b6000-abc", "default_generation_settings": {"n_ctx": 8192}}
    pages = {"/metrics": LLAMA_PAGE, "/v1/models": models, "/props": props, "/health": {}}
    async with inference_http(pages) as server:
        said = await ask(server.url)
        assert (said.kind, said.version, said.state) == ("llama.cpp", "b6000-abc", "ok")
        assert said.page is not None
        assert (said.page.running, said.page.waiting, said.page.kv_percent) == (1, 4, 25)
        assert (said.page.prompt_tokens, said.page.generated_tokens) == (1200, 800)
        assert said.models[0].context_tokens == 8192
        del pages["/metrics"]
        pages["/slots"] = [{"is_processing": True}, {"is_processing": False}]
        said = await ask(server.url)
        assert said.kind == "llama.cpp"
        assert said.running == 1
        assert said.reason == "it tells no metrics; start it with --metrics"


async def test_a_server_that_loads_and_one_that_wants_a_key_say_so() -> None:
    loading = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    paths = dict.fromkeys(("/metrics", "/v1/models", "/health", "/props"), loading)
    async with inference_http(paths, status=dict.fromkeys(paths, 503)) as server:
        said = await ask(server.url)
        assert (said.kind, said.state) == ("llama.cpp", ServerState.LOADING)
    pages = {"/metrics": "no", "/v1/models": VLLM_MODELS}
    async with inference_http(pages, status={"/metrics": 401}) as server:
        said = await ask(server.url)
        assert (said.kind, said.state) == ("vllm", ServerState.REFUSED)
        assert said.reason


async def test_ollama_tells_which_models_are_loaded_and_where() -> None:
    def model(name: str, **more: object) -> dict[str, object]:
        details = {"parameter_size": "8.0B", "quantization_level": "Q4_0"}
        return {"name": name, "size": 6_000, "details": details, **more}

    pages = {
        "/api/version": {"version": "0.12.3"},
        "/api/tags": {"models": [model("llama3:8b"), model("phi3:mini")]},
        "/api/ps": {"models": [model("llama3:8b", size_vram=5_500, context_length=4096)]},
        "/v1/models": {"data": []},
    }
    async with inference_http(pages) as server:
        said = await ask(server.url)
        assert (said.kind, said.version, said.page) == ("ollama", "0.12.3", None)
        loaded, other = said.models
        assert (loaded.name, loaded.loaded, loaded.gpu_bytes) == ("llama3:8b", True, 5_500)
        assert (loaded.parameters, loaded.quantization) == ("8.0B", "Q4_0")
        assert (other.name, other.loaded, other.gpu_bytes) == ("phi3:mini", False, None)
        server.asked.clear()
        await ask(server.url, "ollama")
        assert "/metrics" not in server.asked, "it has none, and is not asked for them again"


@pytest.mark.parametrize(
    ("page", "engine", "running", "tokens"),
    [
        (
            'sglang:num_running_reqs{model_name="q"} 7\nsglang:generation_tokens_total 50\n',
            "sglang",
            7,
            50,
        ),
        ("tgi_batch_current_size 4\ntgi_request_generated_tokens_sum 60\n", "tgi", 4, 60),
        ("nv_inference_pending_request_count 3\n", "triton", None, None),
        ("my_num_requests_running 2\nmy_generation_tokens_total 9\n", "prometheus", 2, 9),
    ],
)
def test_other_engines_are_read_by_their_prometheus_page(
    page: str, engine: str, running: int | None, tokens: int | None
) -> None:
    found = read_page(page)
    assert (found.engine, found.running, found.generated_tokens) == (engine, running, tokens)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html>prompt_tokens</html>",
        "node_cpu_seconds_total 5\n",
        "shop_queue_size 12\n",
        "vllm:prompt_tokens_total{{{ 5\n",
        "vllm:prompt_tokens_total NaN\n",
    ],
)
def test_what_is_no_page_of_an_inference_server_is_refused(page: str) -> None:
    with pytest.raises(NotMetricsError):
        read_page(page)


async def test_something_else_on_a_usual_port_is_no_inference_server() -> None:
    async with inference_http({"/": "<html>a shop</html>"}) as server:
        with pytest.raises(NoServerError):
            await ask(server.url)
        telemetry = source([server.url])
        await telemetry.read()
        assert all(seen.url != server.url for seen in telemetry.servers())


async def test_a_server_that_drips_or_babbles_keeps_nobody() -> None:
    async with inference_http({}, drip=True) as server:
        with pytest.raises(NoAnswerError, match="within"):
            await get(server.url, "/metrics", deadline=0.3)
    async with inference_http({}, flood=True) as server:
        with pytest.raises(NoAnswerError, match=f"larger than {MOST_BYTES}"):
            await get(server.url, "/metrics", deadline=30)


async def test_a_server_that_falls_silent_says_so_and_shows_no_old_figures() -> None:
    async with inference_http({"/metrics": vllm_page()}) as server:
        telemetry = source([server.url])
        await telemetry.read()
        assert of(telemetry.servers(), server.url).requests_running == 3
    await telemetry.read()
    silent = of(telemetry.servers(), server.url)
    assert silent.state is ServerState.NOT_ANSWERING
    assert silent.reason
    assert silent.requests_running is None
    assert silent.models, "what it serves is still known"


async def test_a_process_called_so_is_found_with_the_gpu_of_its_child(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path_factory.mktemp("pages") / "metrics"
    page.write_text(vllm_page())
    with vllm_process(str(page)) as (process, port, child):
        found = await asyncio.to_thread(Finder().find, frozenset())
        candidate = next(c for c in found if c.url == f"http://127.0.0.1:{port}")
        assert (candidate.pid, candidate.certain) == (process.pid, True)
        telemetry = source([], {child: ["GPU-7"], 1: ["GPU-0"]})
        await telemetry.read()
        seen = of(telemetry.servers(), candidate.url)
        assert (seen.kind, seen.pid, seen.gpus) == ("vllm", process.pid, ["GPU-7"])


async def test_a_process_on_a_gpu_is_found_by_its_listener(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path_factory.mktemp("pages") / "metrics"
    page.write_text("mine_num_requests_running 2\nmine_generation_tokens_total 9\n")
    code = SERVER.replace("time.sleep(600)", "time.sleep(601)")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(page)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port, child = (int(word) for word in process.stdout.readline().split())
        try:
            url = f"http://127.0.0.1:{port}"
            nobody = await asyncio.to_thread(Finder().find, frozenset())
            assert all(candidate.url != url for candidate in nobody)
            telemetry = source([], {child: ["GPU-2"]})
            await telemetry.read()
            seen = of(telemetry.servers(), url)
            assert (seen.kind, seen.requests_running, seen.gpus) == ("prometheus", 2, ["GPU-2"])
        finally:
            subprocess.run(["kill", "-9", str(child), str(process.pid)], check=False)
