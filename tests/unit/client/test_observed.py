"""Observed state as faces show it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from sparkplug.bus.buckets import Entry
from sparkplug.client.nodes import STALE_AFTER_S, node_age, node_state
from sparkplug.client.observed import MergedAgents, Observed, merge_agents
from sparkplug.schema.agent import AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.node import NodeState, ObservedNode

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def node(silent: float, state: NodeState = NodeState.READY) -> ObservedNode:
    seen = NOW - timedelta(seconds=silent)
    return ObservedNode(name="n", host="n", state=state, version="1", pid=1, seen=seen)


def replica(number: int, state: AgentState = AgentState.IDLE, **more: object) -> ObservedAgent:
    fields = {"name": "a", "replica": str(number), "runtime": "python", "owner": "o", "node": "n"}
    return ObservedAgent.model_validate({**fields, "state": state, **more})


def observed(*agents: ObservedAgent, silent: float = 0.0) -> Observed:
    found = Observed()
    found.take(Entry("nodes.n", node(silent).model_dump_json().encode(), 1))
    for agent in agents:
        key = f"agents.{agent.name}.{agent.replica}.{agent.foreign}"
        found.take(Entry(key, agent.model_dump_json().encode(), 2))
    return found


def wanted(replicas: int, *, run: bool = True) -> dict[str, DesiredAgent]:
    spec = AgentSpec(name="a", entrypoint="m:f", replicas=replicas)
    return {"a": DesiredAgent(spec=spec, run=run)}


def test_a_silent_node_is_stale_and_one_taken_down_is_stopped() -> None:
    assert node_state(node(STALE_AFTER_S), NOW) is NodeState.READY
    assert node_state(node(STALE_AFTER_S + 1), NOW) is NodeState.STALE
    assert node_state(node(9999, NodeState.STOPPED), NOW) is NodeState.STOPPED
    assert node_age(node(-5), NOW) == 0.0


def test_agents_of_a_silent_node_are_stale_unless_they_had_ended() -> None:
    failed = replica(1, AgentState.ERROR)
    shown = merge_agents(observed(replica(0), failed, silent=60), {}, NOW)
    assert [agent.state for agent in shown] == [AgentState.STALE, AgentState.ERROR]
    assert shown[0].reason == "node n has been silent for 60 s"
    assert shown[0].state_since == NOW - timedelta(seconds=60)


def test_a_replica_no_node_has_taken_is_deploying() -> None:
    shown = merge_agents(observed(replica(0)), wanted(2), NOW)
    assert [(a.replica, a.state) for a in shown] == [
        ("0", AgentState.IDLE),
        ("1", AgentState.DEPLOYING),
    ]
    assert merge_agents(observed(), wanted(2, run=False), NOW) == []


def test_a_replica_is_deploying_since_it_was_wanted() -> None:
    asked = {"a": wanted(1)["a"].model_copy(update={"changed": NOW - timedelta(minutes=5)})}
    first = merge_agents(observed(), asked, NOW)
    again = merge_agents(observed(), asked, NOW + timedelta(minutes=1))
    assert [agent.state_since for agent in (*first, *again)] == [NOW - timedelta(minutes=5)] * 2
    assert first == again, "nothing has changed, so nothing is drawn"


def test_replicas_are_in_order_of_number_and_foreign_ones_last() -> None:
    foreign = replica(0, name="Aaa", foreign=True, node=None)
    shown = merge_agents(observed(foreign, replica(10), replica(2)), {}, NOW)
    assert [(a.name, a.replica) for a in shown] == [("a", "2"), ("a", "10"), ("Aaa", "0")]


def test_what_is_removed_is_forgotten_and_what_does_not_hold_is_left_out() -> None:
    found = observed(replica(0))
    assert found.take(Entry("agents.a.0.False", None, 3))
    assert not found.take(Entry("agents.b.0", b"not json", 4))
    assert not found.take(Entry("something.else", b"{}", 5))
    assert found.agents == {}


def test_what_did_not_change_stays_the_same_record() -> None:
    found = observed(replica(0), replica(1))
    merged = MergedAgents()
    asked = wanted(3)
    before = merged.merge(found, asked, NOW)
    key = "agents.a.1.False"
    busy = replica(1, AgentState.RUNNING)
    found.take(Entry(key, busy.model_dump_json().encode(), 3))
    after = merged.merge(found, asked, NOW)
    assert [agent.state for agent in after] == ["idle", "running", "deploying"]
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]
    assert before[1].state == "idle", "what was given before is not written to"


def test_whatever_changes_it_is_as_if_merged_anew() -> None:
    chance = random.Random(1)
    found, asked, merged = observed(), dict(wanted(0)), MergedAgents()
    now = NOW
    for _ in range(400):
        for _ in range(chance.randrange(3)):
            number = chance.randrange(6)
            foreign = chance.random() < 0.2
            name = chance.choice(["a", "b"])
            agent = replica(
                number,
                chance.choice(list(AgentState)),
                name=name,
                foreign=foreign,
                node=chance.choice(["n", "m", None]),
                inflight=chance.randrange(2),
            )
            gone = chance.random() < 0.2
            value = None if gone else agent.model_dump_json().encode()
            found.take(Entry(f"agents.{name}.{number}.{foreign}", value, 1))
        if chance.random() < 0.1:
            asked |= wanted(chance.randrange(8), run=chance.random() < 0.8)
        if chance.random() < 0.05:
            asked = {}
        if chance.random() < 0.2:
            seen = node(0).model_copy(update={"seen": now})
            found.take(Entry("nodes.n", seen.model_dump_json().encode(), 1))
        now += timedelta(seconds=chance.choice([0, 1, 9]))
        assert merged.merge(found, asked, now) == merge_agents(found, asked, now)
