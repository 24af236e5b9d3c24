"""What the verbs take: arguments and flags, each a function that a `Verb` names."""

from __future__ import annotations

import argparse

from sparkplug.cli.verb import rest, seconds

#: `schema.task.TaskState`, which is not imported for it.
_TASK_STATES = ("scheduled", "queued", "running", "retrying", "done", "dead", "cancelled")


def host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", help="only this host").kind = "host"  # type: ignore[attr-defined]


def one_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", help="name of the host").kind = "host"  # type: ignore[attr-defined]


def history(parser: argparse.ArgumentParser) -> None:
    one_host(parser)
    parser.add_argument(
        "series", nargs="*", default=[], help="figures, like cpu or 'gpu/*/power' (all)"
    )
    parser.add_argument(
        "--since", type=seconds, default=3600.0, metavar="TIME", help="this far back (1h; 30d most)"
    )
    parser.add_argument("--until", metavar="WHEN", help="the end of the window, in ISO 8601 (now)")
    parser.add_argument("--points", type=int, default=60, help="of each figure (60)")


def top(parser: argparse.ArgumentParser) -> None:
    host(parser)
    parser.add_argument("-1", "--once", action="store_true", help="one frame, then leave")
    parser.add_argument("-n", "--rows", type=int, default=10, help="processes of each host")


def agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", help="name of the agent").kind = "agent"  # type: ignore[attr-defined]


def logs(parser: argparse.ArgumentParser) -> None:
    agent(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it is written")
    parser.add_argument("-n", "--lines", type=int, default=200, help="the last lines (200)")
    parser.add_argument("-p", "--previous", action="store_true", help="of the process before")
    parser.add_argument("--replica", help="of this replica, not the first")


def shell_beside(parser: argparse.ArgumentParser) -> None:
    agent(parser)
    parser.add_argument("--replica", help="beside this replica, not the first that runs here")
    rest(parser, "command", "what stands after -- is run instead of a shell")


def usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", nargs="?", help="only this agent").kind = "agent"  # type: ignore[attr-defined]
    parser.add_argument(
        "--since", type=seconds, metavar="TIME", help="its history, this far back, like 10m"
    )


def model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="name of the model")


def model_usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        choices=("agent", "run", "model", "host"),
        default="agent",
        help="agent | run | model | host (agent)",
    )
    parser.add_argument(
        "--since", type=seconds, metavar="TIME", help="calls this far back, like 1h (all)"
    )


def run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="id of the run, or its beginning").kind = "run"  # type: ignore[attr-defined]


def task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="id of the task, or its beginning").kind = "task"  # type: ignore[attr-defined]


def dead(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--capability", metavar="NAME", help="of this capability alone")
    parser.add_argument("-n", "--limit", type=int, default=500, help="the newest so many (500)")


def tasks(parser: argparse.ArgumentParser) -> None:
    dead(parser)
    parser.add_argument("--state", choices=_TASK_STATES, help="how they are")


def validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plans", nargs="+", help="plan files, or names").kind = "plan"  # type: ignore[attr-defined]
    parser.add_argument(
        "--agents", action="store_true", help="an agent that is not there now is an error"
    )


def stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", default="", help="only this plan, and its steps")
    parser.add_argument("--runs", type=int, default=200, help="over so many newest runs (200)")


def runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--limit", type=int, default=100, help="of those that ended the newest so many (100)"
    )


def decision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decision", help="id of it, or its beginning").kind = "decision"  # type: ignore[attr-defined]


def events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", nargs="?", default="", help="events that match; !x: that do not")
    parser.add_argument(
        "--since", type=seconds, default=None, metavar="TIME", help="this far back, like 10m (1h)"
    )
    parser.add_argument(
        "--after", type=int, default=None, metavar="SEQUENCE", help="those after this sequence"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as they happen")


def key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", help="section.key")


def key_value(parser: argparse.ArgumentParser) -> None:
    key(parser)
    parser.add_argument("value", help="the value as text")


def import_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="TOML file; - reads stdin").kind = "path"  # type: ignore[attr-defined]


def context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the context").kind = "context"  # type: ignore[attr-defined]


def new_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="its name")
    parser.add_argument("address", metavar="URL", help="NATS URL, or a token for a face")
    parser.add_argument("--creds", metavar="FILE", help="credentials file, readable by you alone")
    parser.add_argument("--ca", metavar="FILE", help="certificate that the server is trusted by")
    parser.add_argument("--description", metavar="TEXT", help="what it is")


def init(parser: argparse.ArgumentParser) -> None:
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
    dry_run(parser)


def dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def invite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ttl", type=seconds, default=3600.0, metavar="TIME", help="how long it is good (1h)"
    )
    parser.add_argument("--hosts", type=int, default=1, help="how many may use it (1)")
    parser.add_argument("--face", action="store_true", help="for somebody, not for a host")


def join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from `sparkplug mesh invite`; - reads stdin")
    parser.add_argument("--merge", action="store_true", help="move this host's agents there")
    parser.add_argument("--discard", action="store_true", help="delete what this host has")
    parser.add_argument("--name", default="", help="name of this node, not the host's")
    parser.add_argument("--no-start", action="store_true", help="leave starting the node to you")
    dry_run(parser)


def file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the backup").kind = "path"  # type: ignore[attr-defined]


def restore(parser: argparse.ArgumentParser) -> None:
    file(parser)
    dry_run(parser)


def questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", dest="every", action="store_true", help="those that are over too")


def question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="its id, or the beginning of it").kind = "question"  # type: ignore[attr-defined]


def thread(parser: argparse.ArgumentParser) -> None:
    agent(parser)
    parser.add_argument("thread", help="name of the thread")


def checkpoint(parser: argparse.ArgumentParser) -> None:
    thread(parser)
    parser.add_argument("--checkpoint", default="", metavar="ID", help="as it was then")


def thread_history(parser: argparse.ArgumentParser) -> None:
    thread(parser)
    parser.add_argument("--limit", type=int, default=20, help="so many, the newest first (20)")


def schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=("agent", "crew", "plan"), help="agent | crew | plan")


def shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="bash | zsh | fish")


def demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", metavar="NAME", help="show scripted GPUs, marked SIMULATED")


def scopes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", action="append", help="agent:NAME, run:ID, owner:NAME, group:NAME or mesh"
    )


def memories(parser: argparse.ArgumentParser) -> None:
    scopes(parser)
    parser.add_argument("--agent", help="written by this agent").kind = "agent"  # type: ignore[attr-defined]
    parser.add_argument("--limit", type=int, default=200, help="at most so many (200)")
    parser.add_argument("--flagged", action="store_true", help="with something odd about them")
    parser.add_argument("--quarantined", action="store_true", help="those that wait for a review")
    parser.add_argument("--deleted", action="store_true", help="those that can be had back")


def search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", help="the question")
    scopes(parser)
    parser.add_argument("--limit", type=int, default=10, help="at most so many (10)")


def memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("memory", help="id of the memory, or its beginning").kind = "memory"  # type: ignore[attr-defined]


def export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="the file; else stdout").kind = "path"  # type: ignore[attr-defined]
    scopes(parser)


def gallery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", nargs="?", help="begin on this page")
