"""What an agent's NATS user may do: serve as itself, call others, and nothing else."""

from __future__ import annotations

from sparkplug.bus import subjects
from sparkplug.bus.jwt import Permissions

#: What an agent may ask of any node.
_VERBS = ("window", "processes", "kernel-log", "models", "model-load", "energy")


def agent_permissions(agent: str, owner: str, replica: str) -> Permissions:
    """The subjects of one replica. It cannot serve as another, nor read another's replies."""
    own = f"{agent}.{owner}.{replica}"
    inbox = subjects.inbox("agent", f"{agent}={replica}")
    return Permissions(
        publish=(
            f"agents.hb.{own}",
            subjects.agent_state(agent, replica),
            subjects.ledger(agent, replica),
            subjects.waits(agent, replica),
            "agents.prompt.>",
            "agents.status.>",
            "$SRV.INFO.agents",
            "$SRV.INFO.agents.*",
            "$SRV.PING.agents",
            "$SRV.PING.agents.*",
            subjects.AGENTS_RESOLVE,
            # Who speaks of memory is known by where it may speak.
            subjects.memory_call("*", subjects.memory_caller(agent, owner, replica)),
            subjects.memory_write(subjects.memory_caller(agent, owner, replica)),
            subjects.DECISIONS_PROPOSE,
            subjects.DECISIONS_VOTE,
            subjects.DECISIONS_GET,
            subjects.agent_service(agent, replica, ">"),
            f"sparkplug.event.agent.step.{agent}",
            # What it keeps of its own: writing it, and reading it by the subject's own name.
            f"sparkplug.checkpoint.{agent}.>",
            f"$JS.API.DIRECT.GET.{subjects.STREAM_CHECKPOINTS}.sparkplug.checkpoint.{agent}.>",
            *(subjects.node_service("*", verb) for verb in _VERBS),
            subjects.tasks_from(agent, replica),
            *(subjects.tasks_by(agent, replica, verb) for verb in ("submit", "get", "cancel")),
            "sparkplug.withdraw.*.*",
            subjects.published(agent, replica, ">"),
            "_INBOX.>",
        ),
        subscribe=(
            f"agents.prompt.{own}",
            f"agents.prompt.{own} agents",
            f"agents.status.{own}",
            f"agents.status.{own} agents",
            subjects.agent_control(agent, replica),
            subjects.tasks_to(agent, replica),
            subjects.TASKS_HELLO,
            subjects.withdraw(agent, replica),
            subjects.ALL_PUBLISHED,
            subjects.agent_threads(agent, replica),
            *(f"$SRV.{verb}" for verb in ("PING", "INFO", "STATS")),
            *(f"$SRV.{verb}.agents" for verb in ("PING", "INFO", "STATS")),
            *(f"$SRV.{verb}.agents.*" for verb in ("PING", "INFO", "STATS")),
            f"{inbox}.>",
        ),
        # Leave to answer what it is asked (allow_responses) would be leave to publish anywhere:
        # it asks itself, naming any subject as the one for the reply. Inboxes are hard to guess.
        replies=False,
    )


def scoped_template() -> Permissions:
    """The same as the template of a scoped signing key, for a server that somebody else owns.

    Its owner puts these into the key; the server fills in the tags of each user.
    """
    tags = ("{{tag(agent)}}", "{{tag(owner)}}", "{{tag(replica)}}")
    made = agent_permissions(*tags)
    # An inbox is cleaned of what a subject cannot hold, and so of these braces.
    cleaned = subjects.inbox("agent", f"{tags[0]}={tags[2]}")
    meant = f"{cleaned.rpartition('.')[0]}.{tags[0]}={tags[2]}"
    return Permissions(
        publish=tuple(subject.replace(cleaned, meant) for subject in made.publish),
        subscribe=tuple(subject.replace(cleaned, meant) for subject in made.subscribe),
        replies=made.replies,
    )
