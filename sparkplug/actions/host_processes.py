"""Actions on a host's processes and GPUs: kill, renice, power limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sparkplug.actions.action import Action, ActionResult, Argument

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.host import Process
    from sparkplug.schema.host_orders import SignalName

_HOST = Argument("host", "host", "name of the host", required=True)
_PID = Argument("pid", "integer", "number of the process", required=True)
_SIGNALS = ("TERM", "KILL", "INT", "HUP", "QUIT", "STOP", "CONT", "USR1", "USR2")


def _words(process: Process, host: str) -> str:
    whose = f" of agent {process.agent}" if process.agent else f" of {process.user or 'somebody'}"
    return f"process {process.pid} ({process.name}){whose} on {host}"


async def _check_kill(client: Client, host: str, pid: int, signal: str = "TERM", **_: Any) -> str:
    from sparkplug.client import hosts

    found = _words(await hosts.find_process(client, host, pid), host)
    return f"would send SIG{signal} to {found}"


async def _kill(client: Client, host: str, pid: int, *, signal: str = "TERM") -> ActionResult:
    from sparkplug.client import hosts
    from sparkplug.schema.host_orders import SignalRequest

    # What was looked at is what is ended: its number may be another's by now.
    process = await hosts.find_process(client, host, pid)
    request = SignalRequest(pid=pid, signal=cast("SignalName", signal), started=process.started)
    reply = await hosts.send_signal(client, host, request)
    data = {"host": host, "pid": pid, "name": reply.name, "signal": signal, "changed": True}
    return ActionResult(f"{host}: {reply.name} ({pid}): {reply.done}", data)


async def _check_renice(client: Client, host: str, pid: int, nice: int = 0, **_: Any) -> str:
    from sparkplug.client import hosts

    process = await hosts.find_process(client, host, pid)
    return f"would set the niceness of {_words(process, host)} from {process.nice} to {nice}"


async def _renice(client: Client, host: str, pid: int, nice: int) -> ActionResult:
    from sparkplug.client import hosts
    from sparkplug.schema.errors import InvalidError
    from sparkplug.schema.host_orders import ReniceRequest

    if not -20 <= nice <= 19:
        raise InvalidError(f"a niceness is from -20 (most urgent) to 19, not {nice}")
    process = await hosts.find_process(client, host, pid)
    reply = await hosts.renice(
        client, host, ReniceRequest(pid=pid, nice=nice, started=process.started)
    )
    data = {"host": host, "pid": pid, "name": reply.name, "nice": nice, "changed": True}
    return ActionResult(f"{host}: {reply.name} ({pid}): {reply.done}", data)


async def _check_limit(client: Client, host: str, gpu: int, watts: int = 0, **_: Any) -> str:
    from sparkplug.client import hosts
    from sparkplug.schema.errors import InvalidError, NotFoundError

    view = await hosts.describe(client, host)
    found = next((g for g in view.sample.gpus if g.index == gpu), None) if view.sample else None
    if found is None:
        raise NotFoundError(f"no GPU {gpu} on {host}", hint="`sparkplug hosts --json` shows them")
    least, most = found.power_limit_min_watts, found.power_limit_max_watts
    if least is not None and most is not None and not least <= watts <= most:
        raise InvalidError(
            f"{watts} W is out of range: GPU {gpu} of {host} takes {least:g} to {most:g} W"
        )
    before = "?" if found.power_limit_watts is None else f"{found.power_limit_watts:g}"
    return f"would set the power limit of GPU {gpu} of {host} from {before} to {watts} W"


async def _limit(client: Client, host: str, gpu: int, watts: int) -> ActionResult:
    from sparkplug.client import hosts
    from sparkplug.schema.host_orders import PowerLimitRequest

    await _check_limit(client, host, gpu, watts)
    reply = await hosts.set_power_limit(client, host, PowerLimitRequest(gpu=gpu, watts=watts))
    text = f"{host}: GPU {gpu}: power limit {reply.before_watts:g} → {reply.now_watts:g} W"
    changed = reply.before_watts != reply.now_watts
    data = {
        "host": host,
        "gpu": gpu,
        "before_watts": reply.before_watts,
        "now_watts": reply.now_watts,
        "changed": changed,
    }
    return ActionResult(text, data, changed=changed)


HOST_PROCESS_ACTIONS: tuple[Action, ...] = (
    Action(
        id="hosts.kill",
        title="Kill process",
        help="send a signal to a process of a host",
        verb=("hosts", "kill"),
        target="host",
        arguments=(
            _HOST,
            _PID,
            Argument(
                "signal",
                "text",
                "TERM asks it to end, KILL ends it",
                default="TERM",
                flag="--signal",
                choices=_SIGNALS,
                short="-s",
            ),
        ),
        danger=True,
        check=_check_kill,
        run=_kill,
        preview=lambda host, pid, signal="TERM": (
            f"would send SIG{signal} to process {pid} on {host}"
        ),
    ),
    Action(
        id="hosts.renice",
        title="Renice process",
        help="make a process of a host more or less urgent",
        verb=("hosts", "renice"),
        target="host",
        arguments=(
            _HOST,
            _PID,
            Argument("nice", "integer", "-20, the most urgent, to 19", required=True),
        ),
        danger=True,
        check=_check_renice,
        run=_renice,
        preview=lambda host, pid, nice: (
            f"would set the niceness of process {pid} on {host} to {nice}"
        ),
    ),
    Action(
        id="hosts.power-limit",
        title="Set power limit",
        help="set the power limit of a GPU, where the driver lets the node do it",
        verb=("hosts", "power-limit"),
        target="host",
        arguments=(
            _HOST,
            Argument("gpu", "integer", "index of the GPU", required=True),
            Argument("watts", "integer", "the limit in watts", required=True),
        ),
        danger=True,
        check=_check_limit,
        run=_limit,
        preview=lambda host, gpu, watts: (
            f"would set the power limit of GPU {gpu} of {host} to {watts} W"
        ),
    ),
)
