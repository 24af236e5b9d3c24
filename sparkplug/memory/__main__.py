"""The memory's process: `python -m sparkplug.memory --home DIR`, a child of its node.

Its first line of stdin is a JSON object, `{"url", "ca", "server", "jwt", "seed", "node"}`: where
the bus is and who it is there. It says `{"serving": true}` on stdout once it takes requests, or
`{"error": {...}}` when it cannot, and ends when stdin closes: a node that is gone leaves none.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from sparkplug.memory.quiet import keep_quiet

log = logging.getLogger("sparkplug.memory")

_CONNECT_S = 20.0


async def _serve(home: Path, given: dict[str, Any]) -> None:
    from sparkplug.bus import subjects
    from sparkplug.bus.connection import connect
    from sparkplug.bus.jwt import Credentials
    from sparkplug.config import load_settings
    from sparkplug.memory.service import MemoryService, line

    folder = home / "memory"
    bus = await connect(
        given["url"],
        name=f"memory {given['node']}",
        inbox_prefix=subjects.inbox("memory", given["node"]),
        credentials=Credentials(given["jwt"], given["seed"]) if given.get("jwt") else None,
        ca=given.get("ca", ""),
        record=Path(given["server"]) if given.get("server") else None,
        deadline=_CONNECT_S,
    )
    try:
        service = MemoryService(bus, load_settings(), folder, given["node"])

        def serving() -> None:
            sys.stdout.write(line({"serving": True}))
            sys.stdout.flush()

        task = asyncio.ensure_future(service.run(serving))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        threading.Thread(target=_watch_stdin, args=(loop, task), name="stdin", daemon=True).start()
        try:
            await task
        except asyncio.CancelledError:
            log.info("the memory ends")
    finally:
        await bus.close()


def _watch_stdin(loop: asyncio.AbstractEventLoop, task: asyncio.Future[None]) -> None:
    while sys.stdin.readline():
        pass
    loop.call_soon_threadsafe(task.cancel)


def main() -> int:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="sparkplug.memory")
    parser.add_argument("--home", type=Path, required=True, help="state directory")
    home: Path = parser.parse_args().home
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in ("nats", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.umask(0o077)
    os.environ["SPARKPLUG_HOME"] = str(home)
    folder = home / "memory"
    folder.mkdir(mode=0o700, exist_ok=True)
    keep_quiet(folder / "mem0")
    held = (folder / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _failed("another process has this memory open", "it ends with its node")
    given = json.loads(sys.stdin.readline())
    from sparkplug.schema.errors import SparkplugError

    try:
        asyncio.run(_serve(home, given))
    except SparkplugError as error:
        return _failed(error.message, error.hint or "")
    except ModuleNotFoundError as error:
        hint = f"{sys.executable} -m pip install 'sparkplug-control[memory]'"
        return _failed(f"it needs the extra `memory`: {error}", hint)
    # Threads of libraries that still run are none of ours.
    logging.shutdown()
    os._exit(0)


def _failed(message: str, hint: str) -> int:
    print(json.dumps({"error": {"message": message, "hint": hint}}), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
