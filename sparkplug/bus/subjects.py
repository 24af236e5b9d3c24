"""Names on the bus: subjects, streams, buckets, inboxes. The only place they are spelled."""

from __future__ import annotations

import hashlib

#: Bytes of a token made of free text. The server ends a connection that sends a line of more than
#: 4096 (`max_control_line`), in which the subject and the one for replies have their places.
_TOKEN_BYTES = 512

# The Synadia Agent Protocol 0.3, section 2: agents.{verb}.{agent}.{owner}.{session}
PROMPTS = "agents.prompt.>"
HEARTBEATS = "agents.hb.>"
#: The inbox prefix every stock SDK uses for its replies.
FOREIGN_INBOX = "_INBOX.agents"

TOPOLOGY = "sparkplug.topology"
TOPOLOGY_GET = "sparkplug.topology.get"
#: Where a face asks the observer for messages as they pass, and renews what it asked for.
TAP_OPEN = "sparkplug.tap.open"
TAP_KEEP = "sparkplug.tap.keep"
EVENTS = "sparkplug.event.>"
AGENTS_RESOLVE = "sparkplug.agents.resolve"
PLACEMENT_PREVIEW = "sparkplug.placement.preview"
RUNS_SUBMIT = "sparkplug.runs.submit"
QUESTIONS_HOLD = "sparkplug.questions.hold"
RUNS_CANCEL = "sparkplug.runs.cancel"
RUNS_PAUSE = "sparkplug.runs.pause"
RUNS_ANSWER = "sparkplug.runs.answer"
RUNS_REPLAY = "sparkplug.runs.replay"
SCHEDULES_SET = "sparkplug.schedules.set"
SCHEDULES_CHANGE = "sparkplug.schedules.change"
SCHEDULES_RUN = "sparkplug.schedules.run"

# Answered by the node that keeps the tasks. An agent asks under its own name (`tasks_by`).
TASKS_SUBMIT = "sparkplug.tasks.submit"
TASKS_LIST = "sparkplug.tasks.list"
TASKS_GET = "sparkplug.tasks.get"
TASKS_CANCEL = "sparkplug.tasks.cancel"
TASKS_REQUEUE = "sparkplug.tasks.requeue"
TASKS_DROP = "sparkplug.tasks.drop"
TASKS_FIGURES_GET = "sparkplug.tasks.figures.get"
#: Where the figures of all queues are published, once a second while they change.
TASKS_FIGURES = "sparkplug.tasks.figures"
#: Who has taken the tasks over asks every replica what it holds.
TASKS_HELLO = "sparkplug.tasks.hello"
ALL_WORK = "sparkplug.work.*.*.*"
WORK_FENCE = "sparkplug.work.fence"
ALL_DEAD = "sparkplug.dead.*.*"

# Answered by the node that runs the mesh's server.
MESH_INVITE = "sparkplug.mesh.invite"
MESH_REDEEM = "sparkplug.mesh.redeem"
MESH_EXPEL = "sparkplug.mesh.expel"
MESH_REVOKE = "sparkplug.mesh.revoke"

STREAM_EVENTS = "SPARKPLUG_EVENTS"
STREAM_JOURNAL = "SPARKPLUG_JOURNAL"
STREAM_WORK = "SPARKPLUG_WORK"
STREAM_DEAD = "SPARKPLUG_DEAD"
STREAM_CHECKPOINTS = "SPARKPLUG_CHECKPOINTS"
STREAM_MEMORY = "SPARKPLUG_MEMORY"
STREAM_LEDGER = "SPARKPLUG_LEDGER"

BUCKET_SPECS = "sparkplug-specs"
BUCKET_ASSIGNMENTS = "sparkplug-assignments"
BUCKET_LEASES = "sparkplug-leases"
BUCKET_OBSERVED = "sparkplug-observed"
BUCKET_MESH = "sparkplug-mesh"
BUCKET_NODES = "sparkplug-nodes"
BUCKET_SCHEDULES = "sparkplug-schedules"
BUCKET_SCALE = "sparkplug-scale"
BUCKET_QUESTIONS = "sparkplug-questions"
OBJECTS_FILES = "sparkplug-files"


def node_lease(node: str) -> str:
    """The key of a node's lease, and of the fence that its writes carry."""
    return f"node.{node}"


ALL_NODE_LEASES = "node.>"


def prompt(agent: str, owner: str, replica: str) -> str:
    """Where a replica takes prompts."""
    return f"agents.prompt.{agent}.{owner}.{replica}"


def agent_state(agent: str, replica: str) -> str:
    """Where a replica says that its state changed."""
    return f"sparkplug.state.{agent}.{replica}"


AGENT_STATES = "sparkplug.state.>"


def waits(agent: str, replica: str) -> str:
    """Where a replica says what its requests in hand wait for."""
    return f"sparkplug.waits.{agent}.{replica}"


ALL_WAITS = "sparkplug.waits.>"


def agent_control(agent: str, replica: str) -> str:
    """Where a replica is told to let go of what it works on."""
    return f"sparkplug.control.{agent}.{replica}"


def agent_service(agent: str, replica: str, verb: str) -> str:
    """What nodes do for an agent, asked under its own name: no other may ask there.

    `ask`, `take`, `mine` and `hold` of questions to people, and those of checkpoints.
    """
    return f"sparkplug.agent.{agent}.{replica}.{verb}"


def agent_of_service(subject: str) -> tuple[str, str]:
    """(agent, replica) that asks on a subject of `agent_service`."""
    parts = subject.split(".")
    return parts[2], parts[3]


def agent_threads(agent: str, replica: str) -> str:
    """Where a replica is asked about the threads it keeps."""
    return f"sparkplug.threads.{agent}.{replica}"


def withdraw(agent: str, replica: str) -> str:
    """Where a replica is told that an answer is no longer wanted."""
    return f"sparkplug.withdraw.{agent}.{replica}"


def published(agent: str, replica: str, topic: str) -> str:
    """Where a replica publishes what it has to say of a topic (dotted words)."""
    return f"sparkplug.pub.{agent}.{replica}.{topic}"


ALL_PUBLISHED = "sparkplug.pub.>"


def telemetry(host: str) -> str:
    """Where a host's sample is published once a second."""
    return f"sparkplug.telemetry.{host}"


ALL_TELEMETRY = "sparkplug.telemetry.*"


def usage(node: str) -> str:
    """Where a node publishes what its agents take, every two seconds."""
    return f"sparkplug.usage.{node}"


ALL_USAGE = "sparkplug.usage.*"


def ledger(agent: str, replica: str) -> str:
    """Where a replica writes the calls it made of models."""
    return f"sparkplug.ledger.{agent}.{replica}"


ALL_LEDGER = "sparkplug.ledger.>"


def models(node: str) -> str:
    """Where a node tells of the models it can ask."""
    return f"sparkplug.models.{node}"


ALL_MODELS = "sparkplug.models.*"


def node_service(node: str, verb: str) -> str:
    """A service of one node: `window`, `processes`, `usage`, `logs`, …."""
    return f"sparkplug.node.{node}.{verb}"


def event(name: str, subject: str) -> str:
    """Where an event is published: kind and what it did, then what it happened to."""
    kind, _, what = name.partition(":")
    return f"sparkplug.event.{kind}.{what}.{token(subject)}"


def journal(run: str) -> str:
    """Where the entries of a run go."""
    return f"sparkplug.journal.{run}.entry"


def journal_fence(run: str) -> str:
    """Where the holder of a run's lease leaves its fence."""
    return f"sparkplug.journal.{run}.fence"


#: The keys of the leases of who keeps the tasks, and who the decisions.
TASKS_LEASE = "tasks"
DECISIONS_LEASE = "decisions"

#: The key of the memory's lease, and of the record that says which node keeps the memory.
MEMORY_LEASE = "memory"
MEMORY_HOME = "memory.home"
#: What is to be remembered, until it is: a stream holds it.
MEMORY_WRITES = "sparkplug.memory.write.>"
MEMORY_CALLS = "sparkplug.memory.call.>"


def memory_caller(agent: str, owner: str, replica: str) -> str:
    """The end of the subjects on which one replica speaks of memory, and nobody else may."""
    return f"agent.{agent}.{owner}.{replica}"


def memory_face(user: str) -> str:
    """The same for a person's client."""
    return f"face.{token(user)}"


def memory_call(verb: str, caller: str) -> str:
    """Where a caller asks the memory."""
    return f"sparkplug.memory.call.{verb}.{caller}"


def memory_write(caller: str) -> str:
    """Where a caller says what is to be remembered."""
    return f"sparkplug.memory.write.{caller}"


def work(capability: str, priority: str, task: str) -> str:
    """Where the last word of a task is kept while it lives, and for a while after."""
    return f"sparkplug.work.{token(capability)}.{priority}.{task}"


def dead(capability: str, task: str) -> str:
    """Where a dead letter is kept until it is requeued or dropped."""
    return f"sparkplug.dead.{token(capability)}.{task}"


def tasks_by(agent: str, replica: str, verb: str) -> str:
    """Where a replica asks the task service: `submit`, `get`, `cancel`."""
    return f"sparkplug.tasks.by.{agent}.{replica}.{verb}"


def tasks_to(agent: str, replica: str) -> str:
    """Where a replica is handed tasks."""
    return f"sparkplug.tasks.to.{agent}.{replica}"


def tasks_from(agent: str, replica: str) -> str:
    """Where a replica says which tasks it works on, and how they ended."""
    return f"sparkplug.tasks.from.{agent}.{replica}"


#: Under which people publish: no agent has that name's replicas.
HUMAN = "_human"

# Answered by the node that keeps the decisions. Who votes signs the request.
DECISIONS_PROPOSE = "sparkplug.decisions.propose"
DECISIONS_VOTE = "sparkplug.decisions.vote"
DECISIONS_CLOSE = "sparkplug.decisions.close"
DECISIONS_GET = "sparkplug.decisions.get"
#: Where the holder of the decisions' lease leaves its fence, in the stream of journals.
DECISIONS_FENCE = "sparkplug.journal.decision.fence"
ALL_DECISIONS = "sparkplug.journal.decision.entry.*"


def decision(name: str) -> str:
    """Where the entries of a decision go."""
    return f"sparkplug.journal.decision.entry.{token(name)}"


def inbox(kind: str, name: str) -> str:
    """The inbox prefix of one process: replies to it are under it, and show who asked."""
    return f"_INBOX.sp.{kind}.{token(name)}"


#: Where answers to prompts pass: the inboxes of all who prompt. Those of nodes get far more, and
#: no answer of an agent.
ANSWERS = (
    *(f"_INBOX.sp.{kind}.>" for kind in ("agent", "planner", "face", "gateway")),
    "_INBOX.agents.>",
)


def inbox_owner(reply: str) -> tuple[str, str] | None:
    """(kind, name) of the process a reply subject belongs to, or None when it is not ours."""
    parts = reply.split(".")
    if len(parts) < 5 or parts[:2] != ["_INBOX", "sp"]:
        return None
    return parts[2], parts[3]


def token(text: str) -> str:
    """Text as one subject token: characters a token cannot hold become `_`.

    One that is too long is cut, and ends with a hash of all of it: two that differ stay two.
    """
    cleaned = "".join(c if c.isalnum() or c in "-_=" else "_" for c in text) or "_"
    # Half of a surrogate pair is no letter, so all that is left can be encoded.
    coded = cleaned.encode()
    if len(coded) <= _TOKEN_BYTES:
        return cleaned
    mark = "_" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    return coded[: _TOKEN_BYTES - len(mark)].decode(errors="ignore") + mark
