"""All verbs that are not actions: they show something, or concern this host alone."""

from __future__ import annotations

import argparse

from sparkplug.cli.verb import Verb, seconds

_ROOM = "sparkplug.cli"


def _host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", help="only this host").kind = "host"  # type: ignore[attr-defined]


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


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="id of the run, or its beginning").kind = "run"  # type: ignore[attr-defined]


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


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=("agent", "plan"), help="agent | plan")


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
    Verb(("agents", "logs"), "what an agent wrote", f"{_ROOM}.agents:logs", _logs),
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
    "hosts": "hosts: list, cordon, uncordon, drain",
    "agents": "agents: list, describe, deploy, start, stop, …",
    "memory": "what agents remember: add, search, list, describe, edit, delete, undo, …",
    "runs": "runs of plans: list, describe, watch, cancel",
    "mesh": "several hosts: init, invite, members, expel, leave, backup, restore",
    "contexts": "meshes you work with: list, use, add, remove",
    "config": "settings: show, get, set, path, export, import",
}
