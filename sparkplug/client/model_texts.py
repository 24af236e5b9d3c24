"""Models and what they took, in words and columns of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from sparkplug.schema.llm import ModelState, ModelUsage, ModelView, RouteReply

_MARKS = {
    ModelState.READY: "●",
    ModelState.LOADING: "◐",
    ModelState.UNLOADED: "○",
    ModelState.FAILING: "✖",
}
_MILLION = 1_000_000


def price(view: ModelView, currency: str = "") -> str:
    """What a million tokens cost, in and out."""
    if not (view.price_in or view.price_out):
        return "free"
    return f"{view.price_in:g}/{view.price_out:g}{' ' + currency if currency else ''}"


def count(number: int) -> str:
    """A count of tokens: 950, 12.3k, 4.1M."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < _MILLION else f"{number / _MILLION:.1f}M"


def money(value: float, currency: str) -> str:
    """An amount of money; nothing where nothing was paid."""
    return f"{value:.4g} {currency}".strip() if value else "—"


def context(view: ModelView) -> str:
    """Tokens it takes, as people say it."""
    return count(view.context) if view.context else "—"


def load(view: ModelView) -> str:
    """Requests it works on, and those that wait."""
    if view.running is None and view.waiting is None:
        return "—"
    waiting = f"+{view.waiting}" if view.waiting else ""
    return f"{view.running or 0}{waiting}"


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Columns of text."""
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    )


def models_text(views: Sequence[ModelView]) -> str:
    """All models, a line each."""
    if not views:
        return "no model is configured, and no server of models was found\n" + (
            "name one: sparkplug config set llm.endpoint URL"
        )
    rows = [
        (
            view.name,
            f"{_MARKS[view.state]} {view.state}",
            view.host,
            view.server or view.provider,
            ", ".join(view.abilities) or "—",
            context(view),
            load(view),
            price(view),
        )
        for view in views
    ]
    heads = ("MODEL", "STATE", "HOST", "SERVER", "ABILITIES", "CONTEXT", "LOAD", "PRICE")
    return table(rows, heads)


def route_text(found: RouteReply, wanted: str) -> str:
    """Whom a call would go to, and why."""
    lines = []
    for place, choice in enumerate(found.choices, 1):
        view = choice.model
        where = view.endpoint or f"{view.provider} on {view.host}"
        lines.append(f"{place}. {view.name} ({where})")
        lines.append(f"   {'; '.join(choice.reasons)}")
    if not lines:
        lines.append(f"nobody can be asked for {wanted}")
    lines += [
        f"-  {choice.model.name} on {choice.model.host}: {choice.reasons[0]}"
        for choice in found.left_out
    ]
    return f"{wanted}, asked on {found.node}:\n" + "\n".join(lines)


def usage_text(used: Sequence[ModelUsage], by: str) -> str:
    """What calls took, a line for each agent, run, model or host."""
    if not used:
        return "no call of a model is in the ledger"
    rows = [
        (
            one.key,
            str(one.calls),
            str(one.failed),
            ("~" if one.estimated else "") + count(one.tokens_in),
            count(one.tokens_out),
            "—" if one.tokens_per_second is None else f"{one.tokens_per_second:g}",
            "—" if one.first_token_ms is None else f"{one.first_token_ms:.0f}ms",
            "—" if one.joules is None else f"{one.joules:.1f}J",
            money(one.cost, one.currency),
        )
        for one in used
    ]
    heads = (by.upper(), "CALLS", "FAILED", "IN", "OUT", "TOKENS/S", "FIRST", "ENERGY", "COST")
    return table(rows, heads)
