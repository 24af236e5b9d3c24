"""What a node measures and does on its host, over the bus and on the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from fakes.inference_server import inference_http, vllm_page
from fakes.node import Node, eventually, wait_until
from sparkplug.client import hosts
from sparkplug.client.session import Client
from sparkplug.schema.errors import ConflictError, NotFoundError
from sparkplug.schema.gpu import GpuState
from sparkplug.schema.history import HistoryRequest
from sparkplug.schema.host import HostSample
from sparkplug.schema.host_orders import SignalRequest
from sparkplug.shipped import shipped
from sparkplug.telemetry.gpu.fake.build import NoCompilerError
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment
from sparkplug.telemetry.inference.http import get


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node on the scripted driver: GPUs under a lowered cap, the last of which comes to hang."""
    folder = tmp_path_factory.mktemp("hosts")
    scenario = folder / "capped.scenario"
    text = (shipped("config") / "scenarios" / "power-throttle.scenario").read_text()
    scenario.write_text(f"{text}hang power 6 600\nxid 31 6\n")
    try:
        environ = fake_nvml_environment(scenario, folder)
    except NoCompilerError as error:
        pytest.skip(error.message)
    environ["SPARKPLUG_TELEMETRY_PROMETHEUS_PORT"] = str(free_port())
    environ["SPARKPLUG_TELEMETRY_INFERENCE_URLS"] = f"http://127.0.0.1:{free_port()}"
    node = Node(folder / "s", environ)
    node.up()
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
async def client(simulated: Node) -> AsyncIterator[Client]:
    """A client of that node's mesh."""
    async with simulated.client() as found:
        yield found


def refused(node: Node, code: int, *words: str) -> str:
    """What a verb says that leaves with this code."""
    result = node.cli(*words, check=False)
    assert result.returncode == code, result.stderr
    return f"{result.stderr} "


async def name_of(client: Client) -> str:
    """The node's name."""
    return (await hosts.list_hosts(client))[0].name


async def latest(client: Client) -> HostSample | None:
    """The node's last sample."""
    return (await hosts.list_hosts(client))[0].sample


async def test_a_gpu_that_hangs_and_an_xid_are_told_and_no_other_misses_a_beat(
    simulated: Node, client: Client
) -> None:
    found: list[HostSample] = []
    async with asyncio.timeout(60):
        async for sample in hosts.follow(client):
            found.append(sample)
            gpus = sample.gpus
            if (
                len(gpus) == 8
                and gpus[7].state is GpuState.STALE
                and (gpus[7].age_seconds or 0) > 4
            ):
                break
    stale = [sample for sample in found if sample.gpus and sample.gpus[7].state is GpuState.STALE]
    assert min(sample.gpus[7].age_seconds or 0 for sample in stale) < 15, "the bench says how soon"
    for sample in stale:
        assert all(gpu.state is GpuState.OK for gpu in sample.gpus[:7])
        assert sample.gpus[7].power_watts is None
    energies = [sample.gpus[0].energy_joules for sample in stale]
    assert len(set(energies)) == len(energies), "the others are read anew for every sample"
    assert any(xid.xid == 31 and xid.gpu == 7 for xid in found[-1].xids)
    told = json.loads(simulated.cli("events", "gpu:", "--json").stdout)
    assert {"gpu:xid", "gpu:stale"} <= {event["name"] for event in told}

    def top() -> str:
        return simulated.cli("top", "-1").stdout

    # The process that is stuck is replaced at times, and begins anew.
    assert wait_until(lambda: "needs you: gpu 7 a call to it hangs" in top())
    assert wait_until(lambda: "stale" in top())
    assert "SIMULATED" in top()


async def test_history_energy_and_topology_are_told(simulated: Node, client: Client) -> None:
    name = await name_of(client)

    async def kept() -> bool:
        reply = await hosts.history(client, name, HistoryRequest(seconds=60, series=["cpu"]))
        return bool(reply.kilowatt_hours and reply.series and reply.series[0].mean is not None)

    assert await eventually(kept, 30)
    text = simulated.cli("hosts", "history", name, "cpu", "gpu/*/power", "--since", "5m").stdout
    assert "gpu2 power" in text
    assert "kWh" in text
    data = json.loads(simulated.cli("hosts", "history", name, "memory", "--json").stdout)
    assert [series["name"] for series in data["series"]] == ["memory"]
    assert data["simulated"] is True
    assert len(data["energy"]) == 8
    matrix = simulated.cli("hosts", "topology", name).stdout
    assert "NV18" in matrix
    assert "0-47,96-143" in matrix
    links = json.loads(simulated.cli("hosts", "topology", name, "--json").stdout)
    assert links["matrix"]["rows"][0][:2] == ["X", "NV18"]
    assert refused(simulated, 3, "hosts", "history", "nobody")
    assert refused(simulated, 3, "hosts", "topology", "nobody")
    assert refused(simulated, 2, "hosts", "history", name, "--since", "90d")
    assert refused(simulated, 2, "hosts", "history", name, "--until", "noon")


async def test_a_power_limit_is_set_where_the_driver_lets_us(
    simulated: Node, client: Client
) -> None:
    name = await name_of(client)
    assert await eventually(lambda: _limits(client, 400), 30)
    trial = simulated.cli("hosts", "power-limit", name, "2", "600", "--dry-run").stdout
    assert "from 400 to 600 W" in trial
    assert refused(simulated, 4, "hosts", "power-limit", name, "2", "600")
    said = simulated.cli("hosts", "power-limit", name, "2", "600", "--yes").stdout
    assert "400 → 600 W" in said
    assert await eventually(lambda: _limits(client, 600), 30)
    said = refused(simulated, 4, "hosts", "power-limit", name, "1", "600", "--yes")
    assert "only root" in said
    beyond = refused(simulated, 2, "hosts", "power-limit", name, "2", "9000", "--yes")
    assert "200 to 700 W" in beyond


async def _limits(client: Client, watts: float) -> bool:
    sample = await latest(client)
    return bool(sample and len(sample.gpus) == 8 and sample.gpus[2].power_limit_watts == watts)


async def test_a_process_is_ended_and_reniced_and_the_nodes_own_are_not(
    simulated: Node, client: Client
) -> None:
    name = await name_of(client)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            simulated.cli("hosts", "renice", name, str(child.pid), "7", "--yes")
            assert os.getpriority(os.PRIO_PROCESS, child.pid) == 7
            process = await hosts.find_process(client, name, child.pid)
            assert process.nice == 7
            assert process.started is not None
            other = SignalRequest(pid=child.pid, started=process.started.replace(year=2001))
            with pytest.raises(ConflictError):
                await hosts.send_signal(client, name, other)
            refused(simulated, 4, "--readonly", "hosts", "kill", name, str(child.pid), "--yes")
            assert child.poll() is None
            simulated.cli("hosts", "kill", name, str(child.pid), "-s", "KILL", "--yes")
            assert child.wait(30) == -signal.SIGKILL
        finally:
            child.kill()
    own = str(simulated.run_file("node.json")["pid"])
    assert "sparkplug down" in refused(simulated, 4, "hosts", "kill", name, own, "--yes")
    with pytest.raises(NotFoundError):
        await hosts.find_process(client, name, 2**22 + 5)
    events = json.loads(simulated.cli("events", "host:", "--json").stdout)
    assert {"host:signalled", "host:reniced"} <= {event["name"] for event in events}


async def test_prometheus_finds_the_figures_on_loopback(simulated: Node) -> None:
    port = simulated.env["SPARKPLUG_TELEMETRY_PROMETHEUS_PORT"]
    answer = await get(f"http://127.0.0.1:{port}", "/metrics", deadline=20)
    assert b"sparkplug_gpu_power_watts" in answer.body
    assert b"sparkplug_host_simulated 1.0" in answer.body


async def test_a_server_of_models_is_in_the_sample_of_its_host(
    simulated: Node, client: Client
) -> None:
    url = simulated.env["SPARKPLUG_TELEMETRY_INFERENCE_URLS"]
    pages = {"/metrics": vllm_page(), "/v1/models": {"data": []}}

    async def served() -> bool:
        sample = await latest(client)
        return any(s.url == url for s in sample.inference) if sample else False

    assert not await served()
    async with inference_http(pages, port=int(url.rpartition(":")[2])):
        assert await eventually(served, 40)
        top = (await asyncio.to_thread(simulated.cli, "top", "-1")).stdout
        (host,) = json.loads((await asyncio.to_thread(simulated.cli, "hosts", "--json")).stdout)
    (seen,) = [s for s in host["inference"] if s["url"] == url]
    assert (seen["kind"], seen["requests_running"], seen["state"]) == ("vllm", 3, "ok")
    assert "meta-llama" in top
