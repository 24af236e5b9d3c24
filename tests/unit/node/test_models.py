"""What a node tells of models: of its settings, found on its host, local ones, and of others."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.node import eventually
from fakes.openai_server import Reply, openai_server
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.node.energy import joules
from sparkplug.node.gpu_room import ledger, rooms
from sparkplug.node.local_models import LocalModels
from sparkplug.node.models import NodeModels
from sparkplug.node.placing import replica_key
from sparkplug.node.token_rate import TokenRate
from sparkplug.schema.agent import Assignment
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.host import Gpu, GpuMemory, GpuState
from sparkplug.schema.inference import InferenceServer, ServedModel, ServerState
from sparkplug.schema.llm import (
    EnergySpan,
    ModelSection,
    ModelsReply,
    ModelsRequest,
    ModelState,
    ModelView,
    Reach,
    RouteRequest,
)
from sparkplug.schema.settings import LlmSection

GIB = 1 << 30


def gpu(index: int, free: int, state: GpuState = GpuState.OK, watts: float = 100.0) -> Gpu:
    memory = GpuMemory(total_bytes=80 * GIB, used_bytes=80 * GIB - free, free_bytes=free)
    return Gpu(
        index=index, uuid=f"GPU-{index}", name="H", state=state, memory=memory, power_watts=watts
    )


def keeper(
    folder: Path, gpus: list[Gpu], *assigned: Assignment, **sections: ModelSection
) -> LocalModels:
    sample: Any = SimpleNamespace(gpus=gpus, memory=SimpleNamespace(total_bytes=128 * GIB))
    sample.memory.available_bytes = 90 * GIB
    given = {replica_key(one.agent, one.replica): one for one in assigned}
    gpu_ledger = ledger(rooms(sample), "gpu-1", given)
    return LocalModels("gpu-1", sections, folder, folder, {}, lambda: gpu_ledger)


def node_models(
    folder: Path, settings: LlmSection, servers: list[InferenceServer] | None = None
) -> NodeModels:
    sample: Any = SimpleNamespace(inference=servers or [], gpus=[])
    bus = Bus("nats://127.0.0.1:9", "_INBOX.test")
    local = keeper(folder, [], **settings.models)
    return NodeModels(bus, "gpu-1", settings, local, lambda: sample, lambda _: [])


VLLM = InferenceServer(
    kind="vllm",
    url="http://127.0.0.1:8000",
    openai=True,
    pid=42,
    gpus=["GPU-0"],
    models=[ServedModel(name="llama", context_tokens=8192)],
    requests_running=3,
    requests_waiting=1,
)


async def test_servers_that_were_found_are_models(tmp_path: Path) -> None:
    silent = VLLM.model_copy(
        update={
            "url": "http://127.0.0.1:11434",
            "state": ServerState.NOT_ANSWERING,
            "reason": "no answer",
        }
    )
    other = VLLM.model_copy(update={"openai": False, "url": "http://127.0.0.1:8002"})
    found = node_models(tmp_path, LlmSection(), [VLLM, silent, other]).own()
    assert [(v.name, v.state) for v in found] == [
        ("llama", ModelState.READY),
        ("llama", ModelState.FAILING),
    ]
    first = found[0]
    assert first.endpoint == "http://127.0.0.1:8000/v1"
    assert (first.server, first.context, first.running, first.waiting) == ("vllm", 8192, 3, 1)
    assert (first.gpus, first.reach) == (["GPU-0"], Reach.HOST)
    assert node_models(tmp_path, LlmSection(discover=False), [VLLM]).own() == []


async def test_a_folder_without_a_model_is_known_before_it_is_asked(tmp_path: Path) -> None:
    models = {"gone": {"folder": str(tmp_path / "gone")}, "there": {"folder": str(tmp_path)}}
    (tmp_path / "config.json").write_text("{}")
    gone, there = node_models(tmp_path, LlmSection.model_validate({"models": models})).own()
    assert (gone.state, there.state) == (ModelState.FAILING, ModelState.UNLOADED)
    assert gone.reason == f"{tmp_path}/gone: no model is there: it has no config.json"


async def test_one_that_listens_at_every_address_is_the_meshs(tmp_path: Path) -> None:
    models = node_models(tmp_path, LlmSection(), [VLLM])
    models._address, models._open = "10.1.2.3", frozenset({8000})
    (view,) = models.own()
    assert (view.endpoint, view.reach) == ("http://10.1.2.3:8000/v1", Reach.MESH)


async def test_a_server_that_settings_name_is_told_once_with_what_was_measured(
    tmp_path: Path,
) -> None:
    settings = LlmSection.model_validate({"endpoint": "http://localhost:8000/v1", "model": "llama"})
    (view,) = node_models(tmp_path, settings, [VLLM]).own()
    assert (view.name, view.server, view.context, view.running) == ("default", "vllm", 8192, 3)


async def test_endpoints_of_the_settings_are_looked_at(tmp_path: Path) -> None:
    async with openai_server(Reply()) as server:
        settings = LlmSection.model_validate(
            {
                "models": {
                    "here": {"endpoint": server.endpoint},
                    "wrong": {"endpoint": server.endpoint, "model": "nobody"},
                }
            }
        )
        models = node_models(tmp_path, settings)
        looking = asyncio.create_task(models._look_for_ever())
        # One that does not answer in time, on a host that is busy, is looked at again.
        answered = [(ModelState.READY, "scripted"), (ModelState.FAILING, "nobody")]
        await eventually(lambda: [(m.state, m.model) for m in models.own()] == answered)
        await eventually(lambda: models.own()[1].reason == "it lists no nobody")
        looking.cancel()
        here, wrong = models.own()
    assert here.latency_ms is not None
    assert wrong.reason == "it lists no nobody"


async def test_what_others_tell_is_kept_under_their_own_name(tmp_path: Path) -> None:
    models = node_models(tmp_path, LlmSection())
    reply = ModelsReply(node="gpu-2", models=[ModelView(name="theirs", host="gpu-2")])
    for subject in (subjects.models("gpu-2"), subjects.models("gpu-3")):
        message: Any = SimpleNamespace(subject=subject, data=reply.model_dump_json().encode())
        await models._hear(message)
    rubbish: Any = SimpleNamespace(subject=subjects.models("gpu-2"), data=b"\xff{")
    await models._hear(rubbish)
    assert list(models._others) == ["gpu-2"]
    assert [v.name for v in (await models.answer(ModelsRequest(mesh=True))).models] == ["theirs"]
    assert (await models.answer(ModelsRequest())).models == []
    found = await models.route(RouteRequest())
    assert [choice.model.name for choice in found.choices] == ["theirs"]


def test_a_local_model_goes_on_the_gpu_with_most_room(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(b"x")
    gpus = [gpu(0, 2 * GIB), gpu(1, 30 * GIB), gpu(2, 70 * GIB, GpuState.LOST)]

    def place(*assigned: Assignment, gpus: list[Gpu] = gpus, **more: Any) -> str | None:
        section = ModelSection(folder=str(folder), **more)
        found = keeper(tmp_path, gpus, *assigned)._place("m", section, folder)
        return found.uuid if found else None

    def given(memory: int, *, node: str = "gpu-1") -> Assignment:
        gpu_memory = {"gpus": ["GPU-1"], "gpu_memory": memory}
        return Assignment(agent="a", replica=0, generation=1, node=node, **gpu_memory)

    assert place() == "GPU-1"
    assert place(device="cuda:0") == "GPU-0"
    assert place(device="GPU-1") == "GPU-1"
    assert place(device="cpu") is None
    with pytest.raises(SparkplugError, match="no GPU cuda:2"):
        place(device="cuda:2")
    # What a replica was promised is no room, though it uses none of it yet.
    assert place(given(20 * GIB)) == "GPU-1"
    assert place(given(29 * GIB)) == "GPU-0"
    assert place(given(0)) == "GPU-0", "it is the replica's alone"
    assert place(given(0, node="gpu-2")) == "GPU-1"
    # One without memory of its own has the host's.
    shared = gpu(3, 0).model_copy(update={"memory": None, "unified_memory": True})
    assert place(gpus=[*gpus, shared]) == "GPU-3"
    with (folder / "b.safetensors").open("wb") as file:
        file.truncate(60 * GIB)
    assert place() is None


def test_joules_are_of_the_counter_else_of_power_shared_by_what_was_in_hand() -> None:
    began = utc_now()

    def sample(
        at: float, watts: float | None, running: int = 1, energy: float | None = None
    ) -> Any:
        read = gpu(0, GIB).model_copy(update={"power_watts": watts, "energy_joules": energy})
        server = VLLM.model_copy(update={"requests_running": running})
        time = began + timedelta(seconds=at)
        return SimpleNamespace(time=time, gpus=[read], inference=[server])

    span = EnergySpan(gpus=["GPU-0"], began=began, seconds=4.0)
    steady = [sample(at, 200.0) for at in range(-1, 6)]
    assert joules(steady, span) == pytest.approx(800.0)
    assert joules([sample(at, 200.0, 4) for at in range(-1, 6)], span) == pytest.approx(200.0)
    ramp = [sample(float(at), 100.0 * at) for at in range(5)]
    assert joules(ramp, span) == pytest.approx(800.0)
    counted = [sample(at, 1.0, energy=1000.0 + 50.0 * at) for at in range(-1, 6)]
    assert joules(counted, span) == pytest.approx(200.0)
    # The driver was loaded anew: the counter began again.
    again = [sample(0, 300.0, energy=9000.0), sample(4, 300.0, energy=5.0)]
    assert joules(again, span) == pytest.approx(1200.0)
    short = EnergySpan(gpus=["GPU-0"], began=began, seconds=0.1)
    assert joules(steady, short) == pytest.approx(20.0)
    # The last sample is a second old when the call ends.
    assert joules(steady[:4], span) == pytest.approx(800.0)
    assert joules(steady[:2], EnergySpan(gpus=["GPU-0"], began=began, seconds=60)) is None
    assert joules([sample(0, None), sample(1, None)], span) is None
    assert joules(steady, EnergySpan(gpus=["GPU-9"], began=began, seconds=4)) is None


def test_tokens_a_second_are_of_the_last_ten_seconds() -> None:
    rate = TokenRate()
    assert rate.rate(0, 0.0) is None
    assert rate.rate(100, 2.0) == 50.0
    assert rate.rate(100, 12.0) == 0.0
    assert rate.rate(100, 30.0) == 0.0
    assert rate.rate(300, 32.0) == pytest.approx(100.0, rel=0.9)
