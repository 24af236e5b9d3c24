"""The local models of a node: a process for each that is asked, on the GPU with room for it.

What replicas were promised is no room, and a GPU that is one's alone is left to it.
A process is started by the first question, ends by itself when nobody asks any more, and dies
with the node. Its token is in a file that only the node's user can read; where it listens goes
to agents over the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sparkplug.llm.local.job import ModelJob, ModelWord
from sparkplug.llm.models import view_of
from sparkplug.node.gpu_room import GpuLedger
from sparkplug.paths import write_private
from sparkplug.schema.errors import NotFoundError, SparkplugError
from sparkplug.schema.host import GpuState
from sparkplug.schema.llm import ModelSection, ModelState, ModelView
from sparkplug.schema.node import GpuRoom
from sparkplug.schema.problems import did_you_mean

log = logging.getLogger(__name__)

_LOAD_DEADLINE_S = 600.0
_END_DEADLINE_S = 5.0
#: What a model takes beside its weights: keys and values, and the library itself.
_ROOM = 1.2
_OVERHEAD = 1 << 30
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
#: Threads that spin while they wait take the cores of the agents.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}


@dataclass
class _Model:
    """One model of the settings, and its process while there is one."""

    section: ModelSection
    view: ModelView
    lock: asyncio.Lock
    process: asyncio.subprocess.Process | None = None
    watching: asyncio.Task[None] | None = None
    #: It was told to end: however it does, that is no fault.
    told: bool = False


class LocalModels:
    """Starts, watches and ends the processes."""

    def __init__(
        self,
        node: str,
        sections: Mapping[str, ModelSection],
        run: Path,
        logs: Path,
        environment: Mapping[str, str],
        gpus: Callable[[], GpuLedger],
    ) -> None:
        self._node = node
        self._run = run / "models"
        self._logs = logs
        self._environment = {**environment, **_QUIET, **_PATIENT}
        self._gpus = gpus
        self._models = {
            name: _Model(section, self._at_first(name, section), asyncio.Lock())
            for name, section in sections.items()
            if section.provider == "local"
        }

    def views(self) -> list[ModelView]:
        """How each is."""
        return [model.view for model in self._models.values()]

    def _at_first(self, name: str, section: ModelSection) -> ModelView:
        """Not loaded; or failing, where there is nothing to load."""
        view = self._unloaded(name, section)
        if (Path(section.folder).expanduser() / "config.json").is_file():
            return view
        why = f"{section.folder}: no model is there: it has no config.json"
        return view.model_copy(update={"state": ModelState.FAILING, "reason": why})

    def _unloaded(self, name: str, section: ModelSection) -> ModelView:
        view = view_of(name, section, self._node)
        return view.model_copy(update={"state": ModelState.UNLOADED, "server": "sparkplug"})

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            near = did_you_mean(name, self._models)
            raise NotFoundError(
                f"{self._node} has no local model {name}{near}",
                hint="[llm.models.NAME] of its settings names the folder of one",
            )
        return self._models[name]

    async def load(self, name: str) -> ModelView:
        """Have it serve; how it is then. Raises NotFoundError, SparkplugError saying why not."""
        model = self._model(name)
        async with model.lock:
            if model.process is None:
                model.view = model.view.model_copy(update={"state": ModelState.LOADING})
                try:
                    await self._start(name, model)
                except SparkplugError as error:
                    place = f"{error.where}: " if error.where else ""
                    self._failed(name, model, place + error.message)
                    raise
        return model.view

    async def unload(self, name: str) -> bool:
        """End its process; False when there was none."""
        model = self._model(name)
        async with model.lock:
            if model.process is None:
                return False
            model.told = True
            await _end(model.process)
            if model.watching is not None:
                await model.watching
        return True

    async def close(self) -> None:
        """End them all."""
        for name in self._models:
            await self.unload(name)

    def _failed(self, name: str, model: _Model, why: str) -> None:
        found = self._unloaded(name, model.section)
        model.view = found.model_copy(update={"state": ModelState.FAILING, "reason": why})

    async def _start(self, name: str, model: _Model) -> None:
        section, token = model.section, secrets.token_urlsafe(24)
        folder = Path(section.folder).expanduser()  # noqa: ASYNC240  reads no disk
        gpu = await asyncio.to_thread(self._place, name, section, folder)
        environment = dict(self._environment)
        environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid if gpu else ""
        self._run.mkdir(mode=0o700, exist_ok=True)
        key = self._run / f"{name.replace('/', '_')}.key"
        await asyncio.to_thread(write_private, key, token)
        job = ModelJob(
            name=name,
            folder=str(folder),
            device="cuda" if gpu else "cpu",
            or_cpu=section.device == "auto",
            dtype=section.dtype,
            batch=section.batch,
            idle=section.idle,
            token=token,
        )
        with (self._logs / f"model-{name.replace('/', '_')}.log").open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "sparkplug.llm.local.process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        try:
            word = await self._first_word(process, job)
        except BaseException:
            await _end(process)
            raise
        model.process, model.told = process, False
        if word.device == "cpu":
            gpu = None
        model.view = self._unloaded(name, section).model_copy(
            update={
                "state": ModelState.READY,
                "endpoint": f"http://127.0.0.1:{word.port}/v1",
                "api_key_file": str(key),
                "context": section.context or word.context,
                "device": f"{word.device} ({gpu.name})" if gpu else word.device,
                "gpus": [gpu.uuid] if gpu else [],
                "dtype": word.dtype,
                "memory_bytes": word.memory_bytes,
                "pid": process.pid,
            }
        )
        log.info("%s is loaded in %.1f s on %s as %s", name, word.seconds, word.device, word.dtype)
        model.watching = asyncio.create_task(self._watch(name, model, process))

    async def _first_word(self, process: asyncio.subprocess.Process, job: ModelJob) -> ModelWord:
        assert process.stdin is not None
        assert process.stdout is not None
        # The token is in it: `model_dump` has what `repr` leaves out.
        try:
            async with asyncio.timeout(_LOAD_DEADLINE_S):
                process.stdin.write(job.model_dump_json().encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            word = ModelWord.model_validate_json(line)
        except TimeoutError:
            raise SparkplugError(f"{job.name} is not loaded in {_LOAD_DEADLINE_S:g} s") from None
        except (ConnectionError, ValidationError):
            where = str(self._logs / f"model-{job.name.replace('/', '_')}.log")
            raise SparkplugError(f"the process of {job.name} ended", where=where) from None
        if word.kind == "failed":
            raise SparkplugError(
                word.error or "it does not say why", where=job.folder, hint=word.hint or None
            )
        return word

    async def _watch(self, name: str, model: _Model, process: asyncio.subprocess.Process) -> None:
        """Until it ends: of idleness, because it was told to, or of a fault."""
        code = await process.wait()
        model.process = None
        if code in (0, -15) or model.told:
            log.info("%s is unloaded", name)
            model.view = self._unloaded(name, model.section)
        else:
            log.warning("the process of %s ended with %d", name, code)
            self._failed(name, model, f"its process ended with {code}; the next call starts it")

    def _place(self, name: str, section: ModelSection, folder: Path) -> GpuRoom | None:
        """A GPU: the one that is named, else that with most room. None: on the CPU."""
        wanted = section.device
        if wanted == "cpu":
            return None
        ledger, key = self._gpus(), f"model {name}"
        if wanted == "auto":
            need = int(_weights(folder) * _ROOM) + _OVERHEAD
            chosen, _ = ledger.choose(key, 1, need, pack=False)
            return ledger.rooms[chosen[0]] if chosen else None
        index = int(wanted.partition(":")[2] or 0) if wanted.startswith("cuda") else None
        for gpu in ledger.rooms.values():
            if gpu.state is GpuState.OK and (gpu.uuid == wanted or gpu.index == index):
                return gpu
        raise SparkplugError(
            f"there is no GPU {wanted} on {self._node}", hint="`sparkplug hosts` shows its GPUs"
        )


def _weights(folder: Path) -> int:
    """Bytes of a model's weights on disk."""
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return 0


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process, by force when it takes long."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_END_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, 9)
            await process.wait()
