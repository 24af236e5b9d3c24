"""All verbs that are not actions: they show something, or concern this host alone."""

from __future__ import annotations

from sparkplug.cli import arguments
from sparkplug.cli.verb import Verb

_ROOM = "sparkplug.cli"

VERBS: tuple[Verb, ...] = (
    Verb(("up",), "start the node on this host", f"{_ROOM}.node:up", writes=True),
    Verb(("down",), "stop the node on this host", f"{_ROOM}.node:down", writes=True),
    Verb(("status",), "this host's node and the mesh it is in", f"{_ROOM}.node:status"),
    Verb(("doctor",), "check this host and the mesh, with fixes", f"{_ROOM}.node:doctor"),
    Verb(("node",), "run the node in the foreground", f"{_ROOM}.node:foreground", writes=True),
    Verb(("version",), "the version of SparkPlug", f"{_ROOM}.node:version"),
    Verb(
        ("hosts",),
        "every host: state, CPU, memory, GPUs",
        f"{_ROOM}.hosts:hosts",
        listing=True,
        labels=True,
    ),
    Verb(
        ("hosts", "history"),
        "how a host went: means, maxima, energy",
        f"{_ROOM}.host_history:history",
        arguments.history,
    ),
    Verb(
        ("hosts", "topology"),
        "how its GPUs and adapters hang together",
        f"{_ROOM}.host_topology:topology",
        arguments.one_host,
    ),
    Verb(("top",), "what hosts, GPUs and processes do now", f"{_ROOM}.top:top", arguments.top),
    Verb(
        ("agents", "list"),
        "every agent and how it is",
        f"{_ROOM}.agents:list_agents",
        listing=True,
        labels=True,
    ),
    Verb(("agents", "describe"), "all about an agent", f"{_ROOM}.agents:describe", arguments.agent),
    Verb(
        ("agents", "usage"),
        "what agents take and do: CPU, memory, latency, counts",
        f"{_ROOM}.usage:usage",
        arguments.usage,
        listing=True,
    ),
    Verb(
        ("agents", "graph"),
        "the nodes of its work, and which run",
        f"{_ROOM}.threads:graph",
        arguments.agent,
    ),
    Verb(
        ("models",),
        "every model that hosts can ask: state, abilities, load, price",
        f"{_ROOM}.models:list_models",
        listing=True,
    ),
    Verb(("models", "describe"), "all about a model", f"{_ROOM}.models:describe", arguments.model),
    Verb(
        ("models", "usage"),
        "what calls of models took: tokens, time, energy, money",
        f"{_ROOM}.models:usage",
        arguments.model_usage,
        listing=True,
    ),
    Verb(("agents", "logs"), "what an agent wrote", f"{_ROOM}.agents:logs", arguments.logs),
    Verb(
        ("agents", "shell"),
        "a shell in an agent's folder, with its environment",
        f"{_ROOM}.agents:shell",
        arguments.shell_beside,
        writes=True,
    ),
    Verb(
        ("plans", "list"), "the plans that have a name", f"{_ROOM}.plans:list_plans", listing=True
    ),
    Verb(("plans", "validate"), "check plan files", f"{_ROOM}.plans:validate", arguments.validate),
    Verb(
        ("plans", "stats"), "how runs went", f"{_ROOM}.plans:stats", arguments.stats, listing=True
    ),
    Verb(
        ("schedules", "list"),
        "what is run by the clock",
        f"{_ROOM}.schedules:list_schedules",
        listing=True,
    ),
    Verb(
        *(("runs", "list"), "the runs that are kept", f"{_ROOM}.runs:list_runs", arguments.runs),
        listing=True,
    ),
    Verb(("runs", "describe"), "all about a run", f"{_ROOM}.runs:describe", arguments.run),
    Verb(("runs", "watch"), "follow a run to its end", f"{_ROOM}.runs:watch", arguments.run),
    Verb(
        ("memory", "list"),
        "what is remembered, the newest first",
        f"{_ROOM}.memory:list_items",
        arguments.memories,
        listing=True,
    ),
    Verb(("memory", "search"), "what fits a question", f"{_ROOM}.memory:search", arguments.search),
    Verb(
        ("memory", "describe"), "all about a memory", f"{_ROOM}.memory:describe", arguments.memory
    ),
    Verb(("memory", "stats"), "where it is, and how much", f"{_ROOM}.memory:stats"),
    Verb(("memory", "export"), "all as JSON lines", f"{_ROOM}.memory:export", arguments.export),
    Verb(
        ("tasks", "list"),
        "tasks that wait, are worked on, or ended",
        f"{_ROOM}.tasks:list_tasks",
        arguments.tasks,
        listing=True,
    ),
    Verb(("tasks", "describe"), "all about a task", f"{_ROOM}.tasks:describe", arguments.task),
    Verb(
        ("tasks", "dead"), "the dead letters", f"{_ROOM}.tasks:dead", arguments.dead, listing=True
    ),
    Verb(("tasks", "queues"), "the queues", f"{_ROOM}.tasks:queues", listing=True),
    Verb(
        ("decisions", "list"),
        "the decisions that are kept",
        f"{_ROOM}.decisions:list_decisions",
        listing=True,
    ),
    Verb(
        ("decisions", "describe"),
        "a decision: rule, votes, rounds, outcome",
        f"{_ROOM}.decisions:describe",
        arguments.decision,
    ),
    Verb(
        ("questions", "list"),
        "what waits for a person",
        f"{_ROOM}.questions:list_questions",
        arguments.questions,
        listing=True,
    ),
    Verb(
        ("questions", "describe"),
        "all about one",
        f"{_ROOM}.questions:describe",
        arguments.question,
    ),
    Verb(
        ("threads", "list"),
        "the threads an agent keeps",
        f"{_ROOM}.threads:list_threads",
        arguments.agent,
        listing=True,
    ),
    Verb(("threads", "get"), "the state of a thread", f"{_ROOM}.threads:get", arguments.checkpoint),
    Verb(
        ("threads", "history"),
        "the states it was in",
        f"{_ROOM}.threads:history",
        arguments.thread_history,
        listing=True,
    ),
    Verb(("topology",), "who talks to whom", f"{_ROOM}.topology:topology", listing=True),
    Verb(("events",), "what happened", f"{_ROOM}.events:events", arguments.events),
    Verb(
        ("config", "show"),
        "every setting and where it came from",
        f"{_ROOM}.config:show_all",
        listing=True,
    ),
    Verb(("config", "get"), "one setting", f"{_ROOM}.config:get", arguments.key),
    Verb(("config", "set"), "set one", f"{_ROOM}.config:set_key", arguments.key_value, writes=True),
    Verb(("config", "path"), "where your settings file is", f"{_ROOM}.config:path"),
    Verb(("config", "export"), "print what differs", f"{_ROOM}.config:export"),
    Verb(
        ("config", "import"),
        "take settings in",
        f"{_ROOM}.config:take_in",
        arguments.import_file,
        writes=True,
    ),
    Verb(
        ("contexts", "list"),
        "the meshes you work with",
        f"{_ROOM}.contexts:list_contexts",
        listing=True,
    ),
    Verb(
        ("contexts", "use"),
        "use one from now on",
        f"{_ROOM}.contexts:use",
        arguments.context,
        writes=True,
    ),
    Verb(
        ("contexts", "add"), "add one", f"{_ROOM}.contexts:add", arguments.new_context, writes=True
    ),
    Verb(
        ("contexts", "remove"),
        "forget one",
        f"{_ROOM}.contexts:remove",
        arguments.context,
        writes=True,
    ),
    Verb(
        ("mesh", "init"),
        "let other hosts reach this host's server",
        f"{_ROOM}.mesh:init",
        arguments.init,
        writes=True,
    ),
    Verb(
        ("mesh", "close"),
        "make it this host's alone",
        f"{_ROOM}.mesh:close",
        arguments.dry_run,
        writes=True,
    ),
    Verb(
        ("mesh", "invite"),
        "a token to come in with",
        f"{_ROOM}.mesh:invite",
        arguments.invite,
        writes=True,
    ),
    Verb(("mesh", "members"), "who was let in", f"{_ROOM}.mesh:members", listing=True),
    Verb(
        ("mesh", "leave"),
        "go back to a mesh of one's own",
        f"{_ROOM}.mesh:leave",
        arguments.dry_run,
        writes=True,
    ),
    Verb(
        ("mesh", "backup"),
        "all of the mesh into a file",
        f"{_ROOM}.mesh:backup",
        arguments.file,
        writes=True,
    ),
    Verb(
        ("mesh", "restore"),
        "a mesh from its backup",
        f"{_ROOM}.mesh:restore",
        arguments.restore,
        writes=True,
    ),
    Verb(
        ("join",),
        "make this host a node of a mesh",
        f"{_ROOM}.mesh:join",
        arguments.join,
        writes=True,
    ),
    Verb(("schema",), "the JSON Schema of a file", f"{_ROOM}.schema:schema", arguments.schema),
    Verb(("env",), "shell exports for NATS clients", f"{_ROOM}.node:env"),
    Verb(("completion",), "shell completion", f"{_ROOM}.completion:completion", arguments.shell),
    Verb(("demo",), "a demo mesh with agents at work", "sparkplug.demo:main", arguments.demo),
    Verb(
        ("gallery",),
        "every widget of the screen",
        "sparkplug.tui.gallery.main:main",
        arguments.gallery,
    ),
)

#: What the groups of verbs are about.
GROUPS: dict[str, str] = {
    "hosts": "hosts: list, history, topology, cordon, drain, kill, renice, power-limit, …",
    "agents": "agents: list, describe, deploy, start, stop, …",
    "memory": "what agents remember: add, search, list, describe, edit, delete, undo, …",
    "decisions": "decisions: propose, list, describe, vote, close",
    "models": "models: list, describe, explain, usage, load, unload",
    "threads": "what LangGraph agents keep: list, get, history, set, forget",
    "plans": "plans: list, validate, stats",
    "schedules": "plans run by the clock: list, add, run, remove, pause, resume",
    "runs": "runs of plans: list, describe, watch, pause, resume, retry, replay, diff, answer, …",
    "tasks": "queued work: list, queues, submit, describe, cancel, dead, requeue, drop",
    "questions": "what agents ask people: list, describe, answer, approve, reject, withdraw",
    "mesh": "several hosts: init, invite, members, expel, leave, backup, restore",
    "contexts": "meshes you work with: list, use, add, remove",
    "config": "settings: show, get, set, path, export, import",
}
