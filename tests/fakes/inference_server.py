"""An HTTP server that answers as inference servers do: pages by path, changed while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

VLLM_PAGE = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{{generation="0"}} 9431.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="meta-llama/Llama-3.1-8B"}} {running}.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="meta-llama/Llama-3.1-8B"}} {waiting}.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0",model_name="meta-llama/Llama-3.1-8B"}} {kv}
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{engine="0",model_name="meta-llama/Llama-3.1-8B"}} {prompt}.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{engine="0",model_name="meta-llama/Llama-3.1-8B"}} {generated}.0
# TYPE vllm:request_prompt_tokens histogram
vllm:request_prompt_tokens_bucket{{le="+Inf",model_name="meta-llama/Llama-3.1-8B"}} 77.0
vllm:request_prompt_tokens_sum{{model_name="meta-llama/Llama-3.1-8B"}} 4711.0
vllm:request_prompt_tokens_count{{model_name="meta-llama/Llama-3.1-8B"}} 77.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{le="0.1",model_name="meta-llama/Llama-3.1-8B"}} {fast}.0
vllm:time_to_first_token_seconds_bucket{{le="0.5",model_name="meta-llama/Llama-3.1-8B"}} {all}.0
vllm:time_to_first_token_seconds_bucket{{le="+Inf",model_name="meta-llama/Llama-3.1-8B"}} {all}.0
vllm:time_to_first_token_seconds_sum{{model_name="meta-llama/Llama-3.1-8B"}} {seconds}
vllm:time_to_first_token_seconds_count{{model_name="meta-llama/Llama-3.1-8B"}} {all}.0
"""

LLAMA_PAGE = """\
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 1200
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 800
# TYPE llamacpp:prompt_tokens_seconds gauge
llamacpp:prompt_tokens_seconds 512.5
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 4
# TYPE llamacpp:kv_cache_usage_ratio gauge
llamacpp:kv_cache_usage_ratio 0.25
"""


def vllm_page(
    *,
    running: int = 3,
    waiting: int = 2,
    kv: float = 0.375,
    prompt: int = 1000,
    generated: int = 500,
    fast: int = 10,
    all_: int = 10,
    seconds: float = 0.5,
) -> str:
    """A page as vLLM 0.10 writes it."""
    figures = {"running": running, "waiting": waiting, "kv": kv, "prompt": prompt}
    figures |= {"generated": generated, "fast": fast, "seconds": seconds}
    return VLLM_PAGE.format(**figures, all=all_)


@dataclass
class InferenceHttp:
    """Bodies by path (text, or data for JSON); `status` by path where it is not 200.

    `drip` sends a byte a second for ever, `flood` never ends.
    """

    pages: dict[str, Any]
    status: dict[str, int] = field(default_factory=dict)
    chunked: bool = False
    drip: bool = False
    flood: bool = False
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
            self.asked.append(path)
            while self.drip:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.2)
            page = self.pages.get(path)
            status = self.status.get(path, 404 if page is None else 200)
            body = page if isinstance(page, str) else json.dumps(page)
            if self.flood:
                writer.write(f"HTTP/1.1 {status} X\r\n\r\n".encode())
                while True:
                    writer.write(b"# babble\n" * 10_000)
                    await writer.drain()
            self._answer(writer, status, body.encode())
            await writer.drain()
        writer.close()

    def _answer(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\n"
        if not self.chunked:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.write(b"0\r\n\r\n")


@contextlib.asynccontextmanager
async def inference_http(pages: dict[str, Any], **options: Any) -> AsyncIterator[InferenceHttp]:
    """A server on loopback, on a free port when `port` names none."""
    server = InferenceHttp(pages, **options)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", server.port)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
