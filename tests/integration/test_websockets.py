"""nats-py without websockets where nobody asks for them, and with them where somebody does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from fakes.node import wait_until
from sparkplug.bus.binary import find_server
from sparkplug.bus.connection import connect


def test_what_websockets_need_is_imported_by_those_who_ask_for_it() -> None:
    code = (
        "import sys, sparkplug, nats; print('aiohttp' in sys.modules)\n"
        "import aiohttp; print(aiohttp.ClientSession.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "ClientSession"]


async def test_a_server_is_reached_over_a_websocket(tmp_path: Path) -> None:
    ports = tmp_path / "ports"
    ports.mkdir()
    config = tmp_path / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{ports}"\n'
        'websocket { listen: "127.0.0.1:-1", no_tls: true }\n'
    )
    with subprocess.Popen(
        [str(find_server().path), "-c", str(config)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert wait_until(lambda: any("ws://" in f.read_text() for f in ports.iterdir()))
            (listed,) = ports.iterdir()
            port = listed.read_text().split("ws://127.0.0.1:")[1].split('"')[0]
            bus = await connect(f"ws://127.0.0.1:{port}", name="web", inbox_prefix="_INBOX.web")
            try:
                heard = asyncio.get_running_loop().create_future()

                async def hear(message: object) -> None:
                    heard.set_result(message)

                await bus.nc.subscribe("said", cb=hear)
                await bus.nc.flush()
                await bus.nc.publish("said", b"hello")
                assert (await asyncio.wait_for(heard, 30.0)).data == b"hello"
            finally:
                await bus.close()
        finally:
            server.kill()
