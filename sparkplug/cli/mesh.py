"""The verbs about the mesh of several hosts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.errors import InvalidError, RefusedError
from sparkplug.schema.mesh import Member, decode_token, parse_addresses
from sparkplug.schema.plain import plain

_LONGEST_TOKEN = 64 << 10


async def init(cli: Cli) -> int:
    """Let other hosts reach this host's server."""
    address = cli.args.listen
    if address == "none":
        return await close(cli)
    _checked("--listen", address)
    _checked("--advertise", cli.args.advertise)
    return await _listen(cli, address)


async def close(cli: Cli) -> int:
    """Make the server this host's alone again."""
    return await _listen(cli, "")


async def _listen(cli: Cli, address: str) -> int:
    from sparkplug.client import mesh

    cli.refuse_elsewhere("mesh init")
    advertise = cli.option("advertise", "") or ""
    name = cli.option("name", "") or ""
    if cli.option("dry_run", False):
        return _told(cli, f"would listen on {address or 'loopback only'}", changed=False)
    reply = await mesh.listen(
        cli.paths, cli.settings, address=address, advertise=advertise, name=name
    )
    who = "other hosts can join" if address else "this host alone"
    if cli.out.structured:
        cli.out.data({"url": reply.url, "changed": reply.changed})
    else:
        cli.out.text(f"the mesh is at {reply.url}: {who}")
        if address:
            cli.out.talk("`sparkplug mesh invite` makes a token for another host")
    return 0


async def invite(cli: Cli) -> int:
    """Print a token."""
    from sparkplug.client import mesh

    async with cli.connect() as client:
        reply = await mesh.invite(
            client, face=cli.args.face, ttl=cli.args.ttl, hosts=cli.args.hosts
        )
    if cli.out.structured:
        cli.out.data(plain(reply))
        return 0
    cli.out.text(reply.token)
    verb = "contexts add NAME" if cli.args.face else "join"
    cli.out.talk(
        f"good until {reply.expires.isoformat(timespec='seconds')}, "
        f"{'once' if cli.args.hosts == 1 else f'{cli.args.hosts} times'}: sparkplug {verb} TOKEN\n"
        "whoever has it can come in: hand it over as you would a password"
    )
    return 0


async def join(cli: Cli) -> int:
    """Make this host a node of another's mesh."""
    from sparkplug.client import joining

    cli.refuse_elsewhere("join")
    token = decode_token(read_token(cli.args.token))
    if cli.args.merge and cli.args.discard:
        raise InvalidError("--merge and --discard are two ways", hint="give one of them")
    if cli.option("dry_run", False):
        return _told(cli, f"would join {token.mesh} at {', '.join(token.urls)}", changed=False)
    if cli.args.discard and not cli.option("yes", False):
        own = await joining.local_state(cli.paths, cli.settings)
        if own.describe():
            _ask(f"--discard deletes {own.describe()} of this host's own mesh")
    done = await joining.join(
        cli.paths,
        cli.settings,
        token,
        name=cli.args.name or "",
        merge=cli.args.merge,
        discard=cli.args.discard,
        start=not cli.args.no_start,
        tell=cli.out.talk,
    )
    if cli.out.structured:
        cli.out.data(
            {
                "mesh": done.mesh,
                "node": done.node,
                "url": done.url,
                "merged": done.merged,
                "conflicts": done.conflicts,
                "up": done.up,
            }
        )
        return 0
    cli.out.text(f"{done.node} is in the mesh {done.mesh} at {done.url}")
    if done.merged:
        cli.out.text(f"moved: {', '.join(done.merged)}")
    if done.conflicts:
        cli.out.talk(
            f"left behind, the mesh has others of these names: {', '.join(done.conflicts)}\n"
            "  they stay in this host's own mesh, which `sparkplug mesh leave` goes back to"
        )
    if not done.up:
        cli.out.talk("`sparkplug up` starts its node")
    return 0


async def leave(cli: Cli) -> int:
    """Go back to a mesh of this host's own."""
    from sparkplug.client import joining

    cli.refuse_elsewhere("mesh leave")
    if cli.option("dry_run", False):
        return _told(cli, f"would leave {cli.settings.mesh.name}", changed=False)
    if not cli.option("yes", False):
        _ask(f"this leaves the mesh {cli.settings.mesh.name}; its agents here are stopped")
    left, told = await joining.leave(cli.paths, cli.settings, tell=cli.out.talk)
    if not told:
        cli.out.talk(
            f"{left} could not be told: `sparkplug mesh expel {cli.settings.node.name}` there "
            "takes back what it gave"
        )
    if cli.out.structured:
        cli.out.data({"left": left, "told": told})
    else:
        cli.out.text(f"this host is no longer in {left}")
    return 0


async def members(cli: Cli) -> int:
    """Who was let in."""

    async def fetch() -> list[Member]:
        from sparkplug.client import mesh

        async with cli.connect() as client:
            return await mesh.members(client)

    return await show(cli, fetch, MEMBERS)


async def backup(cli: Cli) -> int:
    """Write all of the mesh into one file."""
    from sparkplug.client import backups

    cli.refuse_elsewhere("mesh backup")
    target = _file(cli)
    if await asyncio.to_thread(target.exists) and not cli.option("yes", False):
        _ask(f"{target} exists and would be replaced")
    made = await backups.backup(cli.paths, cli.settings, target, tell=_progress(cli))
    if cli.out.structured:
        cli.out.data({"file": str(target), "bytes": made.size, "streams": made.streams})
    else:
        cli.out.text(f"{target}: {made.streams} streams, {made.size / (1 << 20):.1f} MiB")
        cli.out.talk("it holds the keys of the mesh: whoever has it is its owner")
    return 0


async def restore(cli: Cli) -> int:
    """Make a backup this host's mesh."""
    from sparkplug.client import backups

    cli.refuse_elsewhere("mesh restore")
    source = _file(cli)
    found = await backups.inspect(source)
    if cli.option("dry_run", False):
        return _told(cli, f"would restore {found.describe()}", changed=False)
    if backups.has_state(cli.paths) and not cli.option("yes", False):
        _ask(f"this replaces the mesh of this host with {found.describe()}")
    told = await backups.restore(cli.paths, cli.settings, source, tell=_progress(cli))
    if told.closed:
        cli.out.talk(
            f"it listened on {told.closed}, which is no address of this host: it is this host's "
            "alone until `sparkplug mesh init --listen ADDRESS`"
        )
    if cli.out.structured:
        cli.out.data({"mesh": told.mesh, "created": told.created, "streams": len(told.streams)})
    else:
        cli.out.text(f"restored {told.describe()}; `sparkplug up` starts its node")
    return 0


def _file(cli: Cli) -> Path:
    return Path(cli.args.file).expanduser()


def read_token(text: str) -> str:
    """The token, or that which stands on stdin for `-`: arguments can be seen by others."""
    if text != "-":
        return text
    return sys.stdin.read(_LONGEST_TOKEN)


def _progress(cli: Cli) -> Callable[[str], None]:
    return cli.out.talk if sys.stderr.isatty() else (lambda _: None)


def _checked(flag: str, text: str) -> None:
    try:
        parse_addresses(text or "")
    except ValueError as error:
        raise InvalidError(f"{flag}: {error}") from error


def _ask(told: str) -> None:
    """Ask on a terminal; elsewhere --yes has to say it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"{told}; nobody can be asked here", hint="--yes does it without asking")
    sys.stderr.write(f"{told}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was done")


def _told(cli: Cli, text: str, *, changed: bool) -> int:
    if cli.out.structured:
        cli.out.data({"changed": changed, "message": text})
    else:
        cli.out.text(text)
    return 0


MEMBERS: Listing[Member] = Listing(
    columns=(
        Column("name", lambda m: m.name),
        Column("kind", lambda m: m.kind),
        Column("version", lambda m: m.version),
        Column("joined", lambda m: m.joined.isoformat(timespec="seconds")),
        Column("invited by", lambda m: m.invited_by),
        Column("user", lambda m: m.user, wide=True),
    ),
    name=lambda m: m.name,
    data=lambda m: plain(m),
)
