"""Hosts in full: all that is measured, servers of models, links, history, and what can be done."""

from __future__ import annotations

from datetime import timedelta

from tui_centre import centre
from tui_mesh import GIB, Mesh, gpu, sample

from sparkplug.bus import subjects
from sparkplug.schema.base import utc_now
from sparkplug.schema.gpu import (
    AccountedProcess,
    Driver,
    DriverState,
    Fabric,
    Gpm,
    GpuEvent,
    GpuMemory,
    GpuProcess,
    GpuState,
    MigDevice,
    NvLinks,
    Pcie,
    ProcessLink,
)
from sparkplug.schema.history import HistoryReply, HistoryRequest, Series
from sparkplug.schema.host import BlockDevice, Cpu, NumaNode, Process, RdmaPort, Sensor
from sparkplug.schema.host_orders import ProcessOrderReply, ReniceRequest, SignalRequest
from sparkplug.schema.host_topology import (
    AdapterPath,
    HostTopology,
    TopologyAdapter,
    TopologyGpu,
    TopologyPair,
)
from sparkplug.schema.inference import InferenceServer, ServedModel, ServerState
from sparkplug.schema.node import Nothing
from sparkplug.tui.widgets.plot.plot import Plot

DRIVER = Driver(state=DriverState.OK, version="580.1")


def torch_rank(pid: int) -> GpuProcess:
    """One of the workers that one torchrun started."""
    above = [ProcessLink(pid=4711, name="torchrun"), ProcessLink(pid=99, name="bash")]
    return GpuProcess(
        pid=pid, used_bytes=GIB, name="train.py", container="docker/3f2a", ancestors=above
    )


async def test_all_that_is_measured_of_a_gpu_is_on_the_screen(mesh: Mesh) -> None:
    await mesh.agent("research")
    full = gpu(
        0,
        performance_state="P0",
        temperature_memory_celsius=94.0,
        memory_max_celsius=95.0,
        power_limit_watts=400.0,
        power_limit_default_watts=700.0,
        energy_joules=3.6e7,
        ecc_uncorrected_volatile=2,
        ecc_uncorrected_aggregate=3,
        remapped_rows_pending=True,
        retired_pages_single_bit=4,
        gpm=Gpm(sm_percent=81.0, tensor_percent=55.0),
        decoder_percent=12.0,
        pcie=Pcie(generation=4, generation_max=5, width=8, width_max=16, replays=7),
        nvlink=NvLinks(links=18, active=17, version="4.0", crc_errors=3, inactive=[4]),
        fabric=Fabric(state="completed", health="limited capacity"),
        processes=[torch_rank(4801), torch_rank(4802)],
        accounting=True,
        accounted=[
            AccountedProcess(pid=4802, running=True),
            AccountedProcess(pid=4633, seconds=7325, utilization_percent=93, max_memory_bytes=GIB),
        ],
    )
    sliced = gpu(
        1,
        utilization_percent=None,
        mig_enabled=True,
        mig_devices=[
            MigDevice(
                uuid="MIG-0",
                name="3g.40gb",
                gpu_instance=1,
                multiprocessors=60,
                memory=GpuMemory(total_bytes=40 * GIB, used_bytes=20 * GIB, free_bytes=20 * GIB),
            )
        ],
        processes=[],
    )
    stale = gpu(2, state=GpuState.STALE, age_seconds=12.0, memory=None)
    event = GpuEvent(gpu=0, uuid="GPU-0", kind="double_bit_ecc", meaning="a memory error")
    async with centre((120, 70), pane="hosts") as seen:
        seen.app.pane.query_one("#hosts-plots").chosen = "figures"
        await mesh.tell(
            sample("gpu-1", 9, driver=DRIVER, gpus=[full, sliced, stale], gpu_events=[event])
        )
        await seen.press("enter")
        for words in (
            ("(default 700W)", "memory 94°▲", "10.0 kWh", "P0"),
            ("2 uncorrected (3 ever)", "row remap pending", "4 pages retired"),
            ("sm 81% · tensor 55% · decoder 12%",),
            ("gen 4 of 5 ×8 of ×16", "7 replays"),
            ("17 of 18 up · 4.0", "3 errors", "fabric completed, limited capacity"),
            ("torchrun", "└ train.py · docker/3f2a"),
            ("ended", "4633 most  1.0G busy  93% bus  n/s · ran 2h02m"),
        ):
            await seen.shows(*words)
        await seen.press("G")
        await seen.shows("3g.40gb", "20G of 40G · 60 SMs", "✖ stale 12s", "double bit ecc gpu 0")


async def test_what_is_wrong_is_not_cut_off_beside_plots(mesh: Mesh) -> None:
    await mesh.agent("research")
    worn = gpu(
        0,
        memory_clock_mhz=2619,
        performance_state="P0",
        ecc_uncorrected_volatile=2,
        ecc_uncorrected_aggregate=3,
        ecc_corrected_volatile=5,
        remapped_rows_pending=True,
        nvlink=NvLinks(links=18, active=18, version="4.0", crc_errors=0),
        fabric=Fabric(state="completed", health="limited capacity"),
    )
    reason = "RM has detected a mismatch: the library is newer or older; reboot, or reload it"
    driver = Driver(state=DriverState.ERROR, reason=reason, simulated=True)
    async with centre((160, 50), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[worn]))
        await seen.shows("gpu power", "row remap pending ·", "fabric completed, limited capacity")
        await mesh.tell(sample("gpu-1", 10, driver=driver, gpus=[]))
        await seen.shows("or reload it")


async def test_what_a_host_is_made_of_and_what_it_serves(mesh: Mesh) -> None:
    await mesh.agent("research")
    percents = [100.0, 0.0, 50.0, 100.0]
    serving = InferenceServer(
        kind="vllm",
        url="http://127.0.0.1:8000",
        models=[ServedModel(name="llama-3.1-8b")],
        gpus=["GPU-0"],
        requests_running=3,
        requests_waiting=2,
        prompt_tokens_per_second=1200.0,
        generated_tokens_per_second=310.0,
        generated_tokens_total=1e6,
        first_token_seconds=0.31,
        first_token_p95_seconds=0.9,
        kv_cache_percent=38.0,
    )
    silent = InferenceServer(
        kind="ollama",
        url="http://127.0.0.1:11434",
        state=ServerState.NOT_ANSWERING,
        reason="refused",
        age_seconds=9,
    )
    port = RdmaPort(device="mlx5_0", port=1, link="InfiniBand", state="down", rate="400 Gb/sec")
    host = sample(
        "gpu-1",
        9,
        driver=DRIVER,
        gpus=[gpu(0)],
        cpu=Cpu(
            percent=62,
            user_percent=60,
            system_percent=2,
            cores=4,
            load1=1,
            load5=1,
            load15=1,
            per_core_percent=percents,
        ),
        inference=[serving, silent],
        rdma_ports=[port],
        numa=[NumaNode(node=n, cpus="0-1", total_bytes=GIB, free_bytes=GIB) for n in (0, 1)],
        block_devices=[
            BlockDevice(
                name="nvme0n1", read_bytes_per_second=3e9, write_bytes_per_second=0, busy_percent=97
            )
        ],
        sensors=[Sensor(chip="k10temp", label="Tctl", celsius=91.0, high_celsius=95.0)],
        top_processes=[Process(pid=4242, ppid=1, name="rsync", state="R", cpu_percent=88.0)],
    )
    async with centre((120, 60), pane="hosts") as seen:
        seen.app.pane.query_one("#hosts-plots").chosen = "figures"
        await mesh.tell(host)
        await seen.press("enter")
        await seen.shows("█▁▅█", "mlx5_0/1 ✖ down InfiniBand 400 Gb/sec", "nvme0n1", "97% busy")
        await seen.shows("k10temp Tctl 91° of 95°", "rsync", "88.0%", "1.0G free of 1.0G")
        await seen.shows("vllm :8000 llama-3.1-8b · gpu 0", "3 running 2 waiting")
        await seen.shows("↓ 1200 ↑ 310", "first token 0.3s (p95 0.9s)", "38%")
        await seen.shows("ollama :11434", "✖ not answering for 9s: refused")


def links(count: int, *, switched: bool) -> HostTopology:
    """GPUs that are linked by a switch, or each to each."""
    return HostTopology(
        host="gpu-1",
        gpus=[
            TopologyGpu(
                index=n,
                uuid=f"GPU-{n}",
                name="NVIDIA H100",
                cpus="0-47",
                numa_node=n // 2,
                switch_links=18 if switched else 0,
            )
            for n in range(count)
        ],
        pairs=[
            TopologyPair(
                one=a,
                other=b,
                path="SYS",
                nvlinks=18 if switched else 0,
                p2p={"read": "ok" if switched else "chipset not supported"},
            )
            for a in range(count)
            for b in range(a + 1, count)
        ],
        adapters=[TopologyAdapter(name="mlx5_0", numa_node=0)],
        adapter_paths=[
            AdapterPath(gpu=n, adapter="mlx5_0", path="PIX" if n == 0 else "SYS")
            for n in range(count)
        ],
    )


async def test_links_are_drawn_and_the_matrix_is_told(mesh: Mesh) -> None:
    await mesh.agent("research")
    found = [links(4, switched=True)]

    async def topology(_: Nothing) -> HostTopology:
        return found[0]

    await mesh.services.serve(subjects.node_service("gpu-1", "topology"), Nothing, topology)
    async with centre((140, 50), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[gpu(0)]))
        await seen.shows("driver 580.1")
        await seen.press("T")
        await seen.shows("NVSwitch", "NV18", "numa 1", "mlx5_0", "GPU3", "cpu affinity", "0-47")
        await seen.shows("PIX", "one PCIe bridge at most", "peer access (P2P) between all GPUs")
        await seen.press("tab", "g", "n", "n")
        await seen.until(lambda: "p2p read ok" in seen.screen)
        found[0] = links(2, switched=False)
        await seen.press("tab", "r")
        await seen.press("escape")
        await seen.press("T")
        await seen.shows("no peer access between gpu 0 and 1")


async def test_plots_go_back_as_far_as_the_node_kept(mesh: Mesh) -> None:
    await mesh.agent("research")
    asked: list[HistoryRequest] = []

    async def history(request: HistoryRequest) -> HistoryReply:
        asked.append(request)
        until = utc_now()
        since = until - timedelta(seconds=request.seconds)
        step = request.seconds / 100
        times = [since.timestamp() + (n + 1) * step for n in range(100)]
        wave = [float(n) for n in range(100)]
        names = ("cpu", "memory", "gpu/GPU-0/power", "gpu/GPU-0/busy")
        return HistoryReply(
            host="gpu-1",
            since=since,
            until=until,
            step_seconds=step,
            kept_seconds=10,
            times=times,
            series=[Series(name=name, means=wave, maxima=wave) for name in names],
            kilowatt_hours=12.5,
        )

    await mesh.services.serve(subjects.node_service("gpu-1", "history"), HistoryRequest, history)
    async with centre((160, 50), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[gpu(0)]))
        await seen.shows("gpu power")
        await seen.press("i")
        await seen.shows("the last hour", "12.50 kWh by its GPUs")
        await seen.press("i")
        await seen.shows("the last day")
        assert [request.seconds for request in asked] == [3600, 86400]
        power = next(p for p in seen.app.pane.query(Plot) if p._titles[0].startswith("gpu power"))
        assert power.span == 86400
        assert power.record.value("gpu power/GPU-0", 99) == 99
        await seen.press("i", "i")
        await seen.shows("plots of what was heard")


async def test_a_process_is_killed_and_reniced_after_asking(mesh: Mesh) -> None:
    await mesh.agent("research")
    done: list[object] = []

    async def signal(request: SignalRequest) -> ProcessOrderReply:
        done.append(("signal", request.pid, request.signal))
        return ProcessOrderReply(pid=request.pid, name="rsync", done="SIGTERM sent")

    async def renice(request: ReniceRequest) -> ProcessOrderReply:
        done.append(("renice", request.pid, request.nice))
        return ProcessOrderReply(pid=request.pid, name="rsync", done="niceness 0 → 5")

    for name, model, handler in (
        ("signal", SignalRequest, signal),
        ("renice", ReniceRequest, renice),
    ):
        await mesh.services.serve(subjects.node_service("gpu-1", name), model, handler)
    async with centre((120, 40), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[gpu(0)]))
        await seen.shows("driver 580.1")
        await seen.press("d")
        await seen.shows("research/0", "python")
        await seen.press("ctrl+d")
        await seen.shows(
            "would send SIGTERM to process 77 (python) of agent", "research/0 on gpu-1"
        )
        assert done == [], "it is asked first"
        await seen.press("y")
        await seen.until(lambda: done == [("signal", 77, "TERM")])
        await seen.press("N")
        await seen.shows("77", "nice", "5")
        await seen.press("escape", "escape", "colon")
        await seen.type("hosts renice gpu-1 77 7")
        await seen.press("enter")
        await seen.shows("would set the niceness of process 77 (python) of agent", "to 7")
        await seen.press("y")
        await seen.until(lambda: done[1:] == [("renice", 77, 7)])


async def test_of_eight_hosts_one_is_dead_and_the_others_go_on(mesh: Mesh) -> None:
    await mesh.agent("research")
    names = [f"gpu-{n}" for n in range(1, 9)]
    for name in names[1:]:
        await mesh.node(name, ago=70 if name == "gpu-4" else 0)
    async with centre((160, 50), pane="hosts") as seen:
        for number, busy in ((9, 10.0), (10, 42.0)):
            for name in names:
                if name != "gpu-4":
                    gpus = [gpu(n, utilization_percent=busy) for n in range(8)]
                    await mesh.tell(sample(name, number, driver=DRIVER, gpus=gpus))
            await seen.until(
                lambda busy=busy: (  # type: ignore[misc]
                    sum(f" {busy:.0f}%" in line for line in seen.screen.splitlines()[2:11]) == 7
                )
            )
        await seen.shows("~ gpu-4", "stale 1m")


async def test_a_host_that_babbles_or_lies_harms_no_other(mesh: Mesh) -> None:
    await mesh.agent("research")
    await mesh.node("gpu-2")
    forged = sample("gpu-1", 8, driver=DRIVER, gpus=[gpu(0, name="FORGED")]).model_dump_json()
    loud = sample("gpu-2", 7, driver=DRIVER, gpus=[gpu(n) for n in range(8)]).model_dump_json()
    async with centre((120, 40), pane="hosts") as seen:
        for _ in range(300):
            for rubbish in (loud.encode(), b"{" * 2000, b"\xff\x00", forged.encode()):
                await mesh.bus.nc.publish(subjects.telemetry("gpu-2"), rubbish)
        await mesh.bus.nc.publish(subjects.telemetry("gpu-2"), b"x" * (2 << 20))
        quiet = sample("gpu-1", 9, driver=DRIVER, gpus=[gpu(0, name="HONEST")])
        await mesh.tell(quiet)
        await seen.shows("HONEST")
        assert "FORGED" not in seen.screen
