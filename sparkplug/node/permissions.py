"""What an agent's NATS user may do: serve as itself, call others, and nothing else."""

from __future__ import annotations

from sparkplug.bus import subjects
from sparkplug.bus.jwt import Permissions


def agent_permissions(agent: str, owner: str, replica: str) -> Permissions:
    """The subjects of one replica. It cannot serve as another, nor read another's replies."""
    own = f"{agent}.{owner}.{replica}"
    inbox = subjects.inbox("agent", f"{agent}={replica}")
    return Permissions(
        publish=(
            f"agents.hb.{own}",
            subjects.agent_state(agent, replica),
            "agents.prompt.>",
            "agents.status.>",
            "$SRV.INFO.agents",
            "$SRV.INFO.agents.*",
            "$SRV.PING.agents",
            "$SRV.PING.agents.*",
            "$SYS.REQ.USER.INFO",
            subjects.AGENTS_RESOLVE,
            *(subjects.node_service("*", verb) for verb in ("window", "processes", "kernel-log")),
        ),
        subscribe=(
            f"agents.prompt.{own}",
            f"agents.prompt.{own} agents",
            f"agents.status.{own}",
            f"agents.status.{own} agents",
            subjects.agent_control(agent, replica),
            *(f"$SRV.{verb}" for verb in ("PING", "INFO", "STATS")),
            *(f"$SRV.{verb}.agents" for verb in ("PING", "INFO", "STATS")),
            *(f"$SRV.{verb}.agents.*" for verb in ("PING", "INFO", "STATS")),
            f"{inbox}.>",
        ),
        replies=True,
    )
