"""Turns of an agent: the context grows by what was said and what tools returned; the cache decides what is re-read."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.documents.yaml_reader import parse_document
from planner.errors import BadInputError
from planner.fleet.estimate import estimate, solve
from planner.options.answer import answer
from planner.options.lowering_workload import Moments, turns
from planner.scenario.load import build_scenario
from planner.scenario.workload import RequestClass
from planner.serving.lengths import token_demand
from planner.serving.steady_state import latency_at, length_quantiles, load_at

AGENT = """\
name: agent
model: llama-3.1-70b
engine: vllm
workload: {{answers_per_day: 1e5, input_tokens: 1000, answer_tokens: 100, turns_per_answer: {turns}, agent: {agent}}}
fleet: {{gpus: [h100-sxm], tensor_parallel: 4, precisions: [native]}}
"""


def cls(**fields: Any) -> RequestClass:
    """Return a class of requests."""
    return RequestClass.model_validate({"input_tokens": 1000, "answer_tokens": 100, **fields})


def by_hand(
    count: int, tool: float, *, multiplier: float, keeps: bool, held: bool, shared: float
) -> list[tuple[float, float]]:
    """Return (input, uncached input) of each turn by walking through the conversation."""
    found, context, cached = [], 1000.0, shared * 1000.0
    for _ in range(count):
        found.append((context, context - cached))
        said = 100.0 * multiplier if keeps else 100.0
        reusable = context + (said if keeps or multiplier == 1.0 else 0.0)
        context += said + tool
        cached = reusable if held else shared * 1000.0
    return found


@pytest.mark.parametrize(
    ("keeps", "held", "multiplier"), list(itertools.product([True, False], [True, False], [1.0, 5.0]))
)
def test_turns_are_the_conversation_walked_through(*, keeps: bool, held: bool, multiplier: float) -> None:
    """Each turn's input and what of it is read anew are those of a conversation followed step by step."""
    agent = {"tool_tokens": 300.0, "keeps_thinking": keeps, "kv_cache": "held" if held else "freed"}
    found = turns(cls(turns_per_answer=6, agent=agent), Moments(1000.0, 0.0), 0.4, Moments(100.0, 0.0), multiplier)
    walked = by_hand(6, 300.0, multiplier=multiplier, keeps=keeps, held=held, shared=0.4)
    assert [t.mean for t, _ in found] == pytest.approx([i for i, _ in walked])
    assert [t.mean * (1.0 - c) for t, c in found] == pytest.approx([u for _, u in walked])
    assert sum(t.weight for t, _ in found) == pytest.approx(1.0)


def test_many_turns_are_grouped_without_losing_a_token() -> None:
    """100 turns in 16 groups: tokens per answer are those of the 100 turns one by one."""
    agent = {"tool_tokens": 300.0}
    found = turns(cls(turns_per_answer=100, agent=agent), Moments(1000.0, 0.0), 0.0, Moments(100.0, 0.0), 1.0)
    walked = by_hand(100, 300.0, multiplier=1.0, keeps=False, held=True, shared=0.0)
    assert len(found) == 16
    assert 100 * sum(t.weight * t.mean for t, _ in found) == pytest.approx(sum(i for i, _ in walked))
    assert 100 * sum(t.weight * t.mean * (1 - c) for t, c in found) == pytest.approx(sum(u for _, u in walked))


def test_a_turn_without_growth_is_a_repeated_request() -> None:
    """Tools that return nothing and an answer of next to nothing: the agent is the request sent again."""
    agent = {"tool_tokens": 0.0, "kv_cache": "freed"}
    rows = turns(cls(turns_per_answer=4, agent=agent), Moments(1000.0, 0.5), 0.0, Moments(1e-9, 0.2), 1.0)
    assert [t.mean for t, _ in rows] == pytest.approx([1000.0] * 4)
    assert [t.cv for t, _ in rows] == pytest.approx([0.5] * 4)


def test_holding_the_cache_costs_less_than_reading_again() -> None:
    """Freed caches are read again: more prefill, more GPU-seconds; the answer's tokens stay the same."""
    catalog = Catalog()
    found = {}
    for kv in ("held", "freed"):
        text = AGENT.format(turns=10, agent=f"{{tool_tokens: 500, kv_cache: {kv}}}")
        scenario = build_scenario(parse_document(text, "agent.yaml"), catalog.roots[-1])
        found[kv] = answer(scenario, catalog)
    held, freed = found["held"].best, found["freed"].best
    inputs = sum(1000 + j * 600 for j in range(10))
    assert held["input_tokens_per_answer"] == freed["input_tokens_per_answer"] == pytest.approx(inputs)
    assert held["generated_tokens_per_answer"] == pytest.approx(1000)
    assert held["answer_tokens_per_answer"] == pytest.approx(100)
    assert freed["gpu_seconds_per_answer"] > 1.5 * held["gpu_seconds_per_answer"]
    case = found["held"].case().workload
    demand = token_demand(case)
    assert float(demand.prefill_tokens_per_answer) == pytest.approx(1000 + 9 * 500)
    assert float(estimate(found["held"].case()).gpu_seconds_per_answer) == pytest.approx(held["gpu_seconds_per_answer"])


@pytest.mark.parametrize("tool_time_s", [0.0, 5.0, 60.0])
def test_slow_tools_take_room_where_the_cache_is_held(tool_time_s: float) -> None:
    """Nine tool calls add their time end to end; held caches lower the batch, by Little's law, freed ones do not."""
    catalog, found = Catalog(), {}
    for kv in ("held", "freed"):
        text = AGENT.format(turns=10, agent=f"{{tool_tokens: 500, tool_time_s: {tool_time_s}, kv_cache: {kv}}}")
        scenario = build_scenario(parse_document(text, "agent.yaml"), catalog.roots[-1])
        case = answer(scenario, catalog).case()
        found[kv] = (case, *solve(case))
        without = solve(dataclasses.replace(case, pauses=None))
        late = (
            found[kv][1].e2e_p50_s
            - latency_at(
                dataclasses.replace(found[kv][2].replica, pause_s=np.zeros(())),
                length_quantiles(case),
                found[kv][2].shown,
                "p50",
            ).e2e
        )
        assert float(late) == pytest.approx(9 * tool_time_s, abs=1e-9)
        fewer = without[1].replica.memory.max_running_sequences - found[kv][2].replica.memory.max_running_sequences
        assert (float(fewer) > 1e-9) == (kv == "held" and tool_time_s > 0.0)
    case, _, work = found["held"]
    if tool_time_s:
        memory, rate = work.replica.memory, load_at(work.replica, work.replica.memory.sequences_that_fit).answers_per_s
        held = 1000 + 8 / 2 * 600 + 100  # on average after turns 1 to 9: prompt, what was added, the last answer
        assert float(case.pauses.held_tokens) == pytest.approx(held)
        kv_bytes = 2 * 80 * 8 * 128 * 2 / 4  # Llama 3.1 70B, 16 bit, over four GPUs
        assert float(memory.paused_bytes) == pytest.approx(float(rate) * 9 * tool_time_s * held * kv_bytes, rel=1e-6)


@pytest.mark.parametrize(
    ("agent", "count", "said"),
    [
        ("{tool_tokens: 500}", 1, "agent has a single turn; expected turns_per_answer of at least 2"),
        ("{tool_tokens: -5}", 3, "-5 is negative"),
        ("{tool_tokens: 500}", 300, "turn 300 has 180,500 tokens, the model's context 131,072"),
        ("{tool_tokens: 5, tool_time_s: -1}", 3, "-1 is negative"),
        ("{tool_tokens: 5, kv_cache: hold}", 3, "expected one of 'held' or 'freed'"),
        ("{tool_token: 5}", 3, "Did you mean tool_tokens"),
    ],
)
def test_bad_agents_are_one_sentence(agent: str, count: int, said: str) -> None:
    """What is wrong with an agent is said with what was expected."""
    catalog, document = Catalog(), parse_document(AGENT.format(turns=count, agent=agent), "agent.yaml")

    def ask() -> None:
        answer(build_scenario(document, catalog.roots[-1]), catalog)

    with pytest.raises(BadInputError) as caught:
        ask()
    assert said in str(caught.value)


@pytest.mark.parametrize(("count", "multiplier"), [(2, 4), (12, 4), (12, 1), (5, 30)])
def test_the_first_visible_token_comes_before_the_end(count: int, multiplier: float) -> None:
    """However many turns and thoughts, no percentile of the time to answer is later than that of the whole answer."""
    catalog = Catalog()
    text = AGENT.format(turns=count, agent="{tool_tokens: 500}").replace(
        "answer_tokens: 100", f"answer_tokens: {{mean: 100, cv: 1.2}}, reasoning_multiplier: {multiplier}"
    )
    best = answer(build_scenario(parse_document(text, "agent.yaml"), catalog.roots[-1]), catalog).best
    for p in ("p50", "p95", "p99"):
        assert best[f"time_to_answer_{p}_s"] < best[f"e2e_{p}_s"]
