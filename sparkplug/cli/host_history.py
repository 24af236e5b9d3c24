"""`sparkplug hosts history`: how a host went, from what its node keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.output import table
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.history import (
    LONGEST_SECONDS,
    POINTS_MOST,
    HistoryReply,
    HistoryRequest,
)
from sparkplug.schema.plain import plain

_PLOT = 24
_BLOCKS = "▁▂▃▄▅▆▇█"


async def history(cli: Cli) -> int:
    """Means, maxima and a small plot of each figure, and the energy its GPUs took."""
    from sparkplug.client import hosts

    request = _request(cli)
    async with cli.connect() as client:
        reply = await hosts.history(client, cli.args.host, request)
    if cli.out.structured:
        cli.out.data(plain(reply))
        return 0
    for line in history_lines(reply):
        cli.out.text(line)
    return 0


def _request(cli: Cli) -> HistoryRequest:
    args = cli.args
    if not 0 < args.since <= LONGEST_SECONDS:
        raise InvalidError("--since is above 0 and at most 30d, as far back as anything is kept")
    if not 1 <= args.points <= POINTS_MOST:
        raise InvalidError(f"--points is from 1 to {POINTS_MOST}")
    until = None
    if args.until:
        try:
            until = datetime.fromisoformat(args.until)
        except ValueError as error:
            raise InvalidError(
                f"--until is a time in ISO 8601, like 2026-01-31T14:00, not {args.until}"
            ) from error
        until = until.astimezone(UTC)
    return HistoryRequest(seconds=args.since, until=until, series=args.series, points=args.points)


def history_lines(reply: HistoryReply) -> list[str]:
    """The lines of one answer."""
    mark = "  SIMULATED" if reply.simulated else ""
    span = figures.span((reply.until - reply.since).total_seconds())
    began, ended = (t.astimezone().strftime("%m-%d %H:%M") for t in (reply.since, reply.until))
    head = f"{reply.host}  {span}, {began} to {ended}, kept every {reply.kept_seconds:g} s{mark}"
    names = {
        energy.uuid: f"gpu{energy.index}" for energy in reply.energy if energy.index is not None
    }
    rows = [
        [
            _name(series.name, names),
            sparkline(series.means),
            _value(series.mean, series.unit),
            _value(series.maximum, series.unit),
        ]
        for series in reply.series
        if series.mean is not None
    ]
    lines = [head]
    if not rows:
        return [*lines, "nothing of that was kept in this time"]
    lines += table(["figure", "", "mean", "most"], rows, [False, False, True, True]).splitlines()
    known = [energy for energy in reply.energy if energy.kilowatt_hours is not None]
    if known:
        taken = ", ".join(f"{names.get(e.uuid, e.uuid)} {e.kilowatt_hours:.3f}" for e in known)
        lines.append(f"energy {reply.kilowatt_hours:.3f} kWh ({taken})")
    return lines


def _name(name: str, names: dict[str, str]) -> str:
    """A GPU by its index, which one can read."""
    if not name.startswith("gpu/"):
        return name
    _, uuid, figure = name.split("/", 2)
    return f"{names.get(uuid, uuid)} {figure}"


def _value(value: float | None, unit: str) -> str:
    if unit == "B/s":
        return figures.rate(value)
    return figures.number(value, unit if unit in ("%", "W", "°C") else f" {unit}" if unit else "")


def sparkline(values: Sequence[float | None]) -> str:
    """Values as a line of blocks, from the least to the most; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    width = min(_PLOT, len(values))
    cells = []
    for cell in range(width):
        part = values[cell * len(values) // width : (cell + 1) * len(values) // width]
        there = [value for value in part if value is not None]
        if not there:
            cells.append(" ")
            continue
        share = (max(there) - low) / (high - low) if high > low else 0.0
        cells.append(_BLOCKS[round(share * (len(_BLOCKS) - 1))])
    return "".join(cells)
