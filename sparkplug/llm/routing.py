"""Which model is asked: what is needed, then health, load, where it is, and what it costs.

Pure: the same views and needs give the same order, and each place in it is explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparkplug.llm.health import Health
from sparkplug.schema.llm import Ability, ModelState, ModelView, Reach

AUTO = "auto"
DEFAULT = "default"
_WHERE = {Reach.HOST: 0, Reach.MESH: 1, Reach.OUTSIDE: 2}
_WHERE_WORDS = ("on this host", "on the mesh", "outside the mesh")
_STATE = {ModelState.READY: 0, ModelState.LOADING: 1, ModelState.UNLOADED: 1}
#: Requests in hand that are one step of load; less is no difference.
_LOAD_STEP = 4


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call needs of a model. `context` in tokens, 0 = not known."""

    abilities: frozenset[Ability] = frozenset()
    context: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that may be asked, or `why_not`; `reasons` in the order they decide."""

    view: ModelView
    rank: tuple[float | str, ...] = ()
    reasons: tuple[str, ...] = ()
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """All candidates, best first, and what was left out."""

    wanted: str
    choices: list[Choice] = field(default_factory=list)
    left_out: list[Choice] = field(default_factory=list)


def route(
    wanted: str,
    needs: Needs,
    views: Iterable[ModelView],
    *,
    host: str,
    health: Mapping[str, Health] | None = None,
) -> Route:
    """Where a call goes: by `auto` all that fit, by a name that model and its fallbacks."""
    views = list(views)
    health = health or {}
    found = Route(wanted)
    named = [] if wanted == AUTO else _named(wanted, views)
    for place, view in enumerate(views if wanted == AUTO else named):
        choice = _weigh(view, needs, host, health.get(view.identity), by_need=wanted == AUTO)
        if choice.why_not:
            found.left_out.append(choice)
            continue
        if wanted != AUTO:
            first = view.name == wanted or view.model == wanted
            word = "it is named" if first else f"a fallback of {wanted}"
            # The order of names is the user's; of several of one name the better is first.
            order = 0 if first else 1 + place
            choice = Choice(view, (order, *choice.rank), (word, *choice.reasons))
        found.choices.append(choice)
    found.choices.sort(key=lambda choice: choice.rank)
    return found


def _named(wanted: str, views: list[ModelView]) -> list[ModelView]:
    first = [view for view in views if view.name == wanted]
    # The endpoint's own name of a model is a name too.
    first = first or [view for view in views if view.model == wanted]
    if not first:
        # A name that only the endpoint of the settings may know.
        told = {"name": wanted, "model": wanted}
        return [v.model_copy(update=told) for v in views if v.name == DEFAULT and v.endpoint]
    names: list[str] = []
    for view in first:
        names += [name for name in view.fallback if name not in names and name != wanted]
    return first + [view for name in names for view in views if view.name == name]


def _weigh(
    view: ModelView, needs: Needs, host: str, health: Health | None, *, by_need: bool
) -> Choice:
    here = view.host == host
    if view.reach is Reach.HOST and not here:
        return Choice(view, why_not=f"listens on {view.host} alone")
    lacks = sorted(needs.abilities - set(view.abilities)) if by_need else []
    if lacks:
        return Choice(view, why_not=f"cannot do {', '.join(lacks)}")
    if by_need and needs.context and view.context and view.context < needs.context:
        return Choice(view, why_not=f"takes {view.context} tokens, {needs.context} are needed")
    reasons: list[str] = []
    cooling = health.cooling if health else 0.0
    if cooling:
        assert health is not None
        reasons.append(f"left alone for {cooling:.0f} s: {health.why}")
    failing = view.state is ModelState.FAILING
    if failing:
        reasons.append(f"fails: {view.reason or 'no answer'}")
    preferred = view.name == DEFAULT
    reasons.append("the endpoint of the settings" if preferred else _source(view))
    where = 0 if here and view.reach is not Reach.OUTSIDE else _WHERE[view.reach] or 1
    reasons.append(_WHERE_WORDS[where])
    load = (view.running or 0) + 2 * (view.waiting or 0)
    if health is not None:
        load = max(load, health.inflight)
    if load:
        reasons.append(f"{load} in hand")
    price = view.price_in + view.price_out
    reasons.append(f"{view.price_in:g} in, {view.price_out:g} out a million" if price else "free")
    state = _STATE.get(view.state, 2)
    if view.state is ModelState.UNLOADED:
        reasons.append("has to be loaded first")
    rank = (
        *(bool(cooling), failing, not preferred),
        *(load // _LOAD_STEP, where, price, state, view.name, view.host),
    )
    return Choice(view, rank, tuple(reasons))


def _source(view: ModelView) -> str:
    return {"settings": "named in the settings", "found": "found", "local": "a local model"}[
        view.source
    ]
