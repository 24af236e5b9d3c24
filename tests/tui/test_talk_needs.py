"""On Overview: deadlocks lead to the graph, and decisions are settled where a person is asked."""

from __future__ import annotations

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.bus import deciding, subjects
from sparkplug.schema.decision import DecisionEntry, DecisionView, Proposal, VoteRequest
from sparkplug.schema.decision_fold import begin
from sparkplug.schema.topology import Topology, TopologyEdge, WaitEdge, WaitRing


async def asked(mesh: Mesh, *kinds: str) -> None:
    """Entries of a decision, as its keeper writes them."""
    proposal = Proposal(question="which \x1b[2Jbuild?", options=["a1", "b7"], conflict="human")
    for kind in kinds:
        entry = DecisionEntry(decision="d1", kind=kind, round=1)  # type: ignore[arg-type]
        if kind == "opened":
            entry.proposal = proposal
        elif kind == "asked":
            entry.why = "human"
        elif kind == "voted":
            entry.voter = entry.by = "x/0"
            entry.option, entry.why = "b7", "smaller"
        await mesh.bus.js.publish(
            subjects.decision("d1"), entry.model_dump_json(exclude_defaults=True).encode()
        )


async def test_a_decision_is_settled_by_who_is_asked(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes: list[VoteRequest] = []

    async def vote(_: object, request: VoteRequest, **__: object) -> DecisionView:
        votes.append(request)
        proposal = Proposal(question="which build?", options=["a1", "b7"])
        return begin(DecisionEntry(decision="d1", kind="opened", proposal=proposal))

    monkeypatch.setattr(deciding, "vote", vote)
    await mesh.agent("research")
    await asked(mesh, "opened", "voted", "asked")
    async with centre((120, 36)) as seen:
        await seen.shows("? which build?", "needs you 1")
        seen.app.pane._needs.focus()
        await seen.press("g", "enter")
        await seen.shows("b7", "x/0: smaller")
        await seen.press("enter")
        await seen.until(lambda: votes)
        assert (votes[0].decision, votes[0].option) == ("d1", "b7")
        await asked(mesh, "ruled", "decided")
        await seen.shows("nothing needs you")


async def test_a_deadlock_leads_to_the_graph(mesh: Mesh) -> None:
    await mesh.agent("research")
    ring = WaitRing(
        agents=["research/0", "writer/0"],
        waits=[
            WaitEdge(from_="research/0", to="writer/0", action="write", seconds=4),
            WaitEdge(from_="writer/0", to="research/0", action="check", seconds=3),
        ],
    )
    topology = Topology(
        edges=[TopologyEdge(from_="research", to="writer", messages=1)], rings=[ring]
    )
    async with centre((120, 36)) as seen:

        async def told() -> bool:
            await mesh.topology(topology)
            await seen.pilot.pause()
            return "⊗ deadlock research/0 → writer/0 → research/0" in seen.screen

        await seen.becomes(told)
        seen.app.pane._needs.focus()
        await seen.press("g", "enter")
        await seen.until(lambda: seen.app.pane.id == "topology")
