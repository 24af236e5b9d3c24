"""All verbs that are not actions: they show something, or concern this host alone."""

from __future__ import annotations

import argparse

from sparkplug.cli.verb import Verb, seconds

_ROOM = "sparkplug.cli"
#: `schema.task.TaskState`, which is not imported for it.
_TASK_STATES = ("scheduled", "queued", "running", "retrying", "done", "dead", "cancelled")


def _host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", help="only this host").kind = "host"  # type: ignore[attr-defined]


def _one_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", help="name of the host").kind = "host"  # type: ignore[attr-defined]


def _history(parser: argparse.ArgumentParser) -> None:
    _one_host(parser)
    parser.add_argument(
        "series", nargs="*", default=[], help="figures, like cpu or 'gpu/*/power' (all)"
    )
    parser.add_argument(
        "--since", type=seconds, default=3600.0, metavar="TIME", help="this far back (1h; 30d most)"
    )
    parser.add_argument("--until", metavar="WHEN", help="the end of the window, in ISO 8601 (now)")
    parser.add_argument("--points", type=int, default=60, help="of each figure (60)")


def _top(parser: argparse.ArgumentParser) -> None:
    _host(parser)
    parser.add_argument("-1", "--once", action="store_true", help="one frame, then leave")
    parser.add_argument("-n", "--rows", type=int, default=10, help="processes of each host")


def _agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", help="name of the agent").kind = "agent"  # type: ignore[attr-defined]


def _logs(parser: argparse.ArgumentParser) -> None:
    _agent(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it is written")
    parser.add_argument("-n", "--lines", type=int, default=200, help="the last lines (200)")
    parser.add_argument("-p", "--previous", action="store_true", help="of the process before")
    parser.add_argument("--replica", help="of this replica, not the first")


def _usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", nargs="?", help="only this agent").kind = "agent"  # type: ignore[attr-defined]
    parser.add_argument(
        "--since", type=seconds, metavar="TIME", help="its history, this far back, like 10m"
    )


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="name of the model")


def _model_usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        choices=("agent", "run", "model", "host"),
        default="agent",
        help="agent | run | model | host (agent)",
    )
    parser.add_argument(
        "--since", type=seconds, metavar="TIME", help="calls this far back, like 1h (all)"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="id of the run, or its beginning").kind = "run"  # type: ignore[attr-defined]


def _task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="id of the task, or its beginning").kind = "task"  # type: ignore[attr-defined]


def _dead(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--capability", metavar="NAME", help="of this capability alone")
    parser.add_argument("-n", "--limit", type=int, default=500, help="the newest so many (500)")


def _tasks(parser: argparse.ArgumentParser) -> None:
    _dead(parser)
    parser.add_argument("--state", choices=_TASK_STATES, help="how they are")


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plans", nargs="+", help="plan files, or names").kind = "plan"  # type: ignore[attr-defined]
    parser.add_argument(
        "--agents", action="store_true", help="an agent that is not there now is an error"
    )


def _stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", default="", help="only this plan, and its steps")
    parser.add_argument("--runs", type=int, default=200, help="over so many newest runs (200)")


def _decision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decision", help="id of it, or its beginning").kind = "decision"  # type: ignore[attr-defined]


def _events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", nargs="?", default="", help="events that match; !x: that do not")
    parser.add_argument(
        "--since", type=seconds, default=None, metavar="TIME", help="this far back, like 10m (1h)"
    )
    parser.add_argument(
        "--after", type=int, default=None, metavar="SEQUENCE", help="those after this sequence"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as they happen")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", help="section.key")


def _key_value(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    parser.add_argument("value", help="the value as text")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="TOML file; - reads stdin").kind = "path"  # type: ignore[attr-defined]


def _context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the context").kind = "context"  # type: ignore[attr-defined]


def _new_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="its name")
    parser.add_argument("address", metavar="URL", help="NATS URL, or a token for a face")
    parser.add_argument("--creds", metavar="FILE", help="credentials file, readable by you alone")
    parser.add_argument("--ca", metavar="FILE", help="certificate that the server is trusted by")
    parser.add_argument("--description", metavar="TEXT", help="what it is")


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        required=True,
        metavar="ADDRESS[:PORT]",
        help="where other hosts reach it; 0.0.0.0 is all of this host's, none closes it",
    )
    parser.add_argument(
        "--advertise", default="", metavar="ADDRESSES", help="what tokens name, when not that one"
    )
    parser.add_argument("--name", default="", help="name of the mesh")
    _dry_run(parser)


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _invite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ttl", type=seconds, default=3600.0, metavar="TIME", help="how long it is good (1h)"
    )
    parser.add_argument("--hosts", type=int, default=1, help="how many may use it (1)")
    parser.add_argument("--face", action="store_true", help="for somebody, not for a host")


def _join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from `sparkplug mesh invite`; - reads stdin")
    parser.add_argument("--merge", action="store_true", help="move this host's agents there")
    parser.add_argument("--discard", action="store_true", help="delete what this host has")
    parser.add_argument("--name", default="", help="name of this node, not the host's")
    parser.add_argument("--no-start", action="store_true", help="leave starting the node to you")
    _dry_run(parser)


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the backup").kind = "path"  # type: ignore[attr-defined]


def _restore(parser: argparse.ArgumentParser) -> None:
    _file(parser)
    _dry_run(parser)


def _questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", dest="every", action="store_true", help="those that are over too")


def _question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="its id, or the beginning of it").kind = "question"  # type: ignore[attr-defined]


def _thread(parser: argparse.ArgumentParser) -> None:
    _agent(parser)
    parser.add_argument("thread", help="name of the thread")


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    _thread(parser)
    parser.add_argument("--checkpoint", default="", metavar="ID", help="as it was then")


def _thread_history(parser: argparse.ArgumentParser) -> None:
    _thread(parser)
    parser.add_argument("--limit", type=int, default=20, help="so many, the newest first (20)")


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=("agent", "crew", "plan"), help="agent | crew | plan")


def _shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="bash | zsh | fish")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", metavar="NAME", help="show scripted GPUs, marked SIMULATED")


def _scopes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", action="append", help="agent:NAME, run:ID, owner:NAME, group:NAME or mesh"
    )


def _memories(parser: argparse.ArgumentParser) -> None:
    _scopes(parser)
    parser.add_argument("--agent", help="written by this agent").kind = "agent"  # type: ignore[attr-defined]
    parser.add_argument("--limit", type=int, default=200, help="at most so many (200)")
    parser.add_argument("--flagged", action="store_true", help="with something odd about them")
    parser.add_argument("--quarantined", action="store_true", help="those that wait for a review")
    parser.add_argument("--deleted", action="store_true", help="those that can be had back")


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", help="the question")
    _scopes(parser)
    parser.add_argument("--limit", type=int, default=10, help="at most so many (10)")


def _memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("memory", help="id of the memory, or its beginning").kind = "memory"  # type: ignore[attr-defined]


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="the file; else stdout").kind = "path"  # type: ignore[attr-defined]
    _scopes(parser)


def _gallery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", nargs="?", help="begin on this page")


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
        _history,
    ),
    Verb(
        ("hosts", "topology"),
        "how its GPUs and adapters hang together",
        f"{_ROOM}.host_topology:topology",
        _one_host,
    ),
    Verb(("top",), "what hosts, GPUs and processes do now", f"{_ROOM}.top:top", _top),
    Verb(
        ("agents", "list"),
        "every agent and how it is",
        f"{_ROOM}.agents:list_agents",
        listing=True,
        labels=True,
    ),
    Verb(("agents", "describe"), "all about an agent", f"{_ROOM}.agents:describe", _agent),
    Verb(
        ("agents", "usage"),
        "what agents take and do: CPU, memory, latency, counts",
        f"{_ROOM}.usage:usage",
        _usage,
        listing=True,
    ),
    Verb(
        ("agents", "graph"),
        "the nodes of its work, and which run",
        f"{_ROOM}.threads:graph",
        _agent,
    ),
    Verb(
        ("models",),
        "every model that hosts can ask: state, abilities, load, price",
        f"{_ROOM}.models:list_models",
        listing=True,
    ),
    Verb(("models", "describe"), "all about a model", f"{_ROOM}.models:describe", _model),
    Verb(
        ("models", "usage"),
        "what calls of models took: tokens, time, energy, money",
        f"{_ROOM}.models:usage",
        _model_usage,
        listing=True,
    ),
    Verb(("agents", "logs"), "what an agent wrote", f"{_ROOM}.agents:logs", _logs),
    Verb(
        ("plans", "list"), "the plans that have a name", f"{_ROOM}.plans:list_plans", listing=True
    ),
    Verb(("plans", "validate"), "check plan files", f"{_ROOM}.plans:validate", _validate),
    Verb(("plans", "stats"), "how runs went", f"{_ROOM}.plans:stats", _stats, listing=True),
    Verb(
        ("schedules", "list"),
        "what is run by the clock",
        f"{_ROOM}.schedules:list_schedules",
        listing=True,
    ),
    Verb(("runs", "list"), "the runs that are kept", f"{_ROOM}.runs:list_runs", listing=True),
    Verb(("runs", "describe"), "all about a run", f"{_ROOM}.runs:describe", _run),
    Verb(("runs", "watch"), "follow a run to its end", f"{_ROOM}.runs:watch", _run),
    Verb(
        ("memory", "list"),
        "what is remembered, the newest first",
        f"{_ROOM}.memory:list_items",
        _memories,
        listing=True,
    ),
    Verb(("memory", "search"), "what fits a question", f"{_ROOM}.memory:search", _search),
    Verb(("memory", "describe"), "all about a memory", f"{_ROOM}.memory:describe", _memory),
    Verb(("memory", "stats"), "where it is, and how much", f"{_ROOM}.memory:stats"),
    Verb(("memory", "export"), "all as JSON lines", f"{_ROOM}.memory:export", _export),
    Verb(
        ("tasks", "list"),
        "tasks that wait, are worked on, or ended",
        f"{_ROOM}.tasks:list_tasks",
        _tasks,
        listing=True,
    ),
    Verb(("tasks", "describe"), "all about a task", f"{_ROOM}.tasks:describe", _task),
    Verb(("tasks", "dead"), "the dead letters", f"{_ROOM}.tasks:dead", _dead, listing=True),
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
        _decision,
    ),
    Verb(
        ("questions", "list"),
        "what waits for a person",
        f"{_ROOM}.questions:list_questions",
        _questions,
        listing=True,
    ),
    Verb(("questions", "describe"), "all about one", f"{_ROOM}.questions:describe", _question),
    Verb(
        ("threads", "list"),
        "the threads an agent keeps",
        f"{_ROOM}.threads:list_threads",
        _agent,
        listing=True,
    ),
    Verb(("threads", "get"), "the state of a thread", f"{_ROOM}.threads:get", _checkpoint),
    Verb(
        ("threads", "history"),
        "the states it was in",
        f"{_ROOM}.threads:history",
        _thread_history,
        listing=True,
    ),
    Verb(("topology",), "who talks to whom", f"{_ROOM}.topology:topology", listing=True),
    Verb(("events",), "what happened", f"{_ROOM}.events:events", _events),
    Verb(
        ("config", "show"),
        "every setting and where it came from",
        f"{_ROOM}.config:show_all",
        listing=True,
    ),
    Verb(("config", "get"), "one setting", f"{_ROOM}.config:get", _key),
    Verb(("config", "set"), "set one", f"{_ROOM}.config:set_key", _key_value, writes=True),
    Verb(("config", "path"), "where your settings file is", f"{_ROOM}.config:path"),
    Verb(("config", "export"), "print what differs", f"{_ROOM}.config:export"),
    Verb(("config", "import"), "take settings in", f"{_ROOM}.config:take_in", _import, writes=True),
    Verb(
        ("contexts", "list"),
        "the meshes you work with",
        f"{_ROOM}.contexts:list_contexts",
        listing=True,
    ),
    Verb(
        ("contexts", "use"), "use one from now on", f"{_ROOM}.contexts:use", _context, writes=True
    ),
    Verb(("contexts", "add"), "add one", f"{_ROOM}.contexts:add", _new_context, writes=True),
    Verb(("contexts", "remove"), "forget one", f"{_ROOM}.contexts:remove", _context, writes=True),
    Verb(
        ("mesh", "init"),
        "let other hosts reach this host's server",
        f"{_ROOM}.mesh:init",
        _init,
        writes=True,
    ),
    Verb(
        ("mesh", "close"), "make it this host's alone", f"{_ROOM}.mesh:close", _dry_run, writes=True
    ),
    Verb(
        ("mesh", "invite"), "a token to come in with", f"{_ROOM}.mesh:invite", _invite, writes=True
    ),
    Verb(("mesh", "members"), "who was let in", f"{_ROOM}.mesh:members", listing=True),
    Verb(
        ("mesh", "leave"),
        "go back to a mesh of one's own",
        f"{_ROOM}.mesh:leave",
        _dry_run,
        writes=True,
    ),
    Verb(
        ("mesh", "backup"),
        "all of the mesh into a file",
        f"{_ROOM}.mesh:backup",
        _file,
        writes=True,
    ),
    Verb(
        ("mesh", "restore"),
        "a mesh from its backup",
        f"{_ROOM}.mesh:restore",
        _restore,
        writes=True,
    ),
    Verb(("join",), "make this host a node of a mesh", f"{_ROOM}.mesh:join", _join, writes=True),
    Verb(("schema",), "the JSON Schema of a file", f"{_ROOM}.schema:schema", _schema),
    Verb(("env",), "shell exports for NATS clients", f"{_ROOM}.node:env"),
    Verb(("completion",), "shell completion", f"{_ROOM}.completion:completion", _shell),
    Verb(("demo",), "a demo mesh with agents at work", "sparkplug.demo:main", _demo),
    Verb(("gallery",), "every widget of the screen", "sparkplug.tui.gallery.main:main", _gallery),
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
