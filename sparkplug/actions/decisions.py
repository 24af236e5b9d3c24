"""Actions on decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.decision import DecisionView, Proposal

_ENDED = frozenset({"decided", "undecided", "closed"})
_SECONDS = 60.0
_CONFLICTS = ("none", "priority", "weight", "arbiter", "human")


def _proposal(
    question: str,
    options: Sequence[str],
    voters: Sequence[str],
    weights: Sequence[str],
    quorum: str | None,
    threshold: str | None,
    least: int | None,
    seconds: float,
    rounds: int | None,
    conflict: str | None,
    arbiter: str | None,
    quiet: bool,
) -> Proposal:
    from sparkplug.client import decisions
    from sparkplug.client.plan_files import parse_inputs

    rule: dict[str, Any] = {
        "voters": list(voters),
        "weights": parse_inputs(weights),
        "seconds": seconds,
        "invite": not quiet,
        "conflict": conflict or ("arbiter" if arbiter else "none"),
        "arbiter": arbiter,
    }
    for name, value in (("quorum", quorum), ("threshold", threshold)):
        if value is not None:
            rule[name] = _share(name, value)
    counts = {"least": least, "rounds": rounds}
    rule |= {name: count for name, count in counts.items() if count is not None}
    return decisions.proposal(question, options, rule)


def _share(name: str, text: str) -> float:
    """A share like 0.6 or 60%. Raises InvalidError."""
    from sparkplug.schema.errors import InvalidError

    try:
        value = float(text.removesuffix("%"))
    except ValueError as error:
        raise InvalidError(f"--{name} is a share like 60% or 0.6, not {text!r}") from error
    return value / 100 if text.endswith("%") else value


async def _check_propose(client: Client, question: str, **given: Any) -> None:
    _proposal(question, **{**_DEFAULTS, **given})


async def _propose(
    client: Client,
    question: str,
    *,
    options: Sequence[str] = (),
    voters: Sequence[str] = (),
    weights: Sequence[str] = (),
    quorum: str | None = None,
    threshold: str | None = None,
    least: int | None = None,
    seconds: float = _SECONDS,
    rounds: int | None = None,
    conflict: str | None = None,
    arbiter: str | None = None,
    quiet: bool = False,
) -> ActionResult:
    from sparkplug.client import decisions

    wanted = _proposal(
        question,
        options,
        voters,
        weights,
        quorum,
        threshold,
        least,
        seconds,
        rounds,
        conflict,
        arbiter,
        quiet,
    )
    view = await decisions.propose(client, wanted)
    return ActionResult(f"decision {view.id} is open", _data(view))


_DEFAULTS: dict[str, Any] = {
    "options": (),
    "voters": (),
    "weights": (),
    "quorum": None,
    "threshold": None,
    "least": None,
    "seconds": _SECONDS,
    "rounds": None,
    "conflict": None,
    "arbiter": None,
    "quiet": False,
}


async def _vote(
    client: Client,
    decision: str,
    *,
    option: str | None = None,
    delegate: str | None = None,
    round: int | None = None,  # noqa: A002  the field's own name for it
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import decisions

    view = await decisions.vote(
        client, decision, option, delegate=delegate, round=round, why=reason or ""
    )
    what = option or (f"as {delegate} votes" if delegate else "abstained")
    ended = f"; it is {view.state}: {view.outcome or view.reason}" if view.state in _ENDED else ""
    return ActionResult(f"decision {view.id}: {what}{ended}", _data(view))


async def _close(client: Client, decision: str, *, reason: str | None = None) -> ActionResult:
    from sparkplug.client import decisions

    view = await decisions.close(client, decision, reason or "")
    return ActionResult(f"decision {view.id} is closed", _data(view))


async def _check_decision(client: Client, decision: str, **_: Any) -> None:
    from sparkplug.client import decisions

    await decisions.describe(client, decision)


def _data(view: DecisionView) -> dict[str, Any]:
    from sparkplug.schema.text import one_line

    return {
        "decision": view.id,
        "question": one_line(view.proposal.question),
        "state": str(view.state),
        "round": view.round,
        "outcome": view.outcome,
        "reason": view.reason,
    }


def _can_vote(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "decision":
        return "select a decision"
    state = getattr(subject.value, "state", None)
    return f"it is {state} already" if state is not None and str(state) in _ENDED else None


_DECISION = Argument("decision", "decision", "id of it, or its beginning", required=True)
_REASON = Argument("reason", "text", "why; kept with it", flag="--reason")

DECISION_ACTIONS: tuple[Action, ...] = (
    Action(
        id="decisions.propose",
        title="Propose a decision",
        help="have agents and people decide something",
        verb=("decisions", "propose"),
        arguments=(
            Argument("question", "text", "what is to be decided", required=True),
            Argument("options", "text", "one of the options", flag="--option", repeated=True),
            Argument(
                "voters", "agent", "who votes; human is a person", flag="--voter", repeated=True
            ),
            Argument("weights", "pairs", "what a vote counts", flag="--weight", repeated=True),
            Argument("quorum", "text", "share that has to take part (half)", flag="--quorum"),
            Argument("threshold", "text", "share the winner needs (half)", flag="--threshold"),
            Argument("least", "integer", "voters that take part at least", flag="--least"),
            Argument(
                "seconds", "seconds", "how long a round is open", default=_SECONDS, flag="--for"
            ),
            Argument("rounds", "integer", "rounds to agree in", flag="--rounds"),
            Argument(
                "conflict",
                "text",
                "what settles it without a winner",
                flag="--conflict",
                choices=_CONFLICTS,
            ),
            Argument("arbiter", "agent", "the agent that settles it", flag="--arbiter"),
            Argument("quiet", "switch", "do not ask the voters", flag="--no-invite"),
        ),
        check=_check_propose,
        run=_propose,
        preview=lambda question, **_: f"would have it decided: {question}",
    ),
    Action(
        id="decisions.vote",
        title="Vote",
        help="vote as a person, or settle what a person is asked to",
        verb=("decisions", "vote"),
        key="v",
        target="decision",
        arguments=(
            _DECISION,
            Argument("option", "text", "vote for this option", flag="--option"),
            Argument("delegate", "agent", "vote as this voter does", flag="--delegate"),
            Argument("round", "integer", "only if this round is open", flag="--round"),
            _REASON,
        ),
        applies=_can_vote,
        check=_check_decision,
        run=_vote,
        preview=lambda decision, **_: f"would vote on {decision}",
    ),
    Action(
        id="decisions.close",
        title="Close decision",
        help="end a decision without an outcome",
        verb=("decisions", "close"),
        key="x",
        target="decision",
        arguments=(_DECISION, _REASON),
        many=True,
        danger=True,
        applies=_can_vote,
        check=_check_decision,
        run=_close,
        preview=lambda decision, **_: f"would end the decision {decision} without an outcome",
    ),
)
