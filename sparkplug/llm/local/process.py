"""The process of one local model: `python -m sparkplug.llm.local.process`, started by a node.

It is told its job in a line on standard input, says in a line on standard output where it
listens, and ends when that input does (its node is gone), when it is told to, or when nobody
has asked it anything for as long as the job says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from sparkplug.llm.local.job import ModelJob, ModelWord
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger("sparkplug.model")


async def _serve(job: ModelJob) -> None:
    from sparkplug.llm.local.energy import EnergyMeter, gpu_counter
    from sparkplug.llm.local.engine import Engine
    from sparkplug.llm.local.loading import load, usable
    from sparkplug.llm.local.server import ModelServer

    # The thread that writes waits for the other's turn to end, 5 ms of it as Python has it.
    sys.setswitchinterval(0.0005)
    began = time.monotonic()
    device = await asyncio.to_thread(usable, job.device, or_cpu=job.or_cpu)
    loaded = await asyncio.to_thread(load, Path(job.folder), device, job.dtype)
    # The node made one GPU alone visible, by its UUID.
    uuid = os.environ.get("CUDA_VISIBLE_DEVICES", "") if device == "cuda" else ""
    read = gpu_counter(uuid) if uuid.startswith("GPU-") else None
    engine = Engine(loaded, job.batch, EnergyMeter(read))
    engine.start()
    server = ModelServer(job.name, loaded, engine, job.token, counts_energy=read is not None)
    listening, port = await server.start()
    _say(
        ModelWord(
            kind="ready",
            port=port,
            device=str(loaded.device),
            dtype=str(loaded.dtype).removeprefix("torch."),
            parameters=loaded.parameters,
            memory_bytes=loaded.memory_bytes,
            context=loaded.context,
            tools=loaded.tools,
            seconds=round(time.monotonic() - began, 3),
        )
    )
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_reader(0, lambda: ending.set() if not os.read(0, 4096) else None)
    while not ending.is_set():
        left = job.idle - (time.monotonic() - server.idle_since)
        if left <= 0 and not server.busy:
            log.info("nobody asks: unloaded")
            break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(left, 0.05), 5.0)):
                await ending.wait()
    engine.stop()
    listening.close()


def _say(word: ModelWord) -> None:
    sys.stdout.write(word.model_dump_json() + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until there is a reason to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        job = ModelJob.model_validate_json(_first_line())
        asyncio.run(_serve(job))
    except ValidationError:
        _say(ModelWord(kind="failed", error="the job cannot be read"))
        return 2
    except SparkplugError as error:
        _say(ModelWord(kind="failed", error=error.message, hint=error.hint or ""))
        return 1
    except ImportError as error:
        hint = "pip install 'sparkplug-control[local]'"
        _say(ModelWord(kind="failed", error=f"{error.name} is not installed", hint=hint))
        return 1
    except Exception as error:
        log.exception("the model ends")
        _say(ModelWord(kind="failed", error=f"{type(error).__name__}: {error}"[:500]))
        return 1
    return 0


def _first_line() -> bytes:
    """The job; read by hand, so that nothing of what follows is buffered."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            break
        line += piece
    return line


if __name__ == "__main__":
    sys.exit(main())
