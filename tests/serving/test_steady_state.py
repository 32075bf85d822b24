"""The steady state of a replica: Little's law, latencies by hand, and what more load does to them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.serving.cases import Cases
from planner.serving.replica import Replica, average_step, build_replica
from planner.serving.steady_state import (
    METRICS,
    Latency,
    Lengths,
    Load,
    fixed_ttft_s,
    latency_after,
    latency_at,
    length_quantiles,
    load_at,
    running_for_rate,
    step_terms_at,
    ttft_mean_s,
    waits,
)
from planner.serving.step import step_time_s

Build = Callable[..., Cases]
pytestmark = pytest.mark.usefixtures("float_errors_ignored")
DENSE_S = 4.2e9 / 1e12
TOKEN_S = 2 * (1e9 / 1e14 + 2e9 / 2e14)
"""Streaming all weights once; the products of one token."""
SEQUENCE_S = 2 * 1e8 / 1e14 + 1050.5 * (2e4 / 1e12 + 2e5 / 1e14)
"""Head and attention of one decoding sequence: 1,000 prompt tokens and half of 101."""
PROMPT_TOKEN_S = 500 * (2e5 / 1e14 + 2e4 / 1e12 / 1000)
"""Attention of one prefill token: 500 before it on average, the cache read once for a prompt of 1,000."""


def solved(case: Build, running: float, **changes: Any) -> tuple[Replica, Lengths, Load]:
    """Return a replica with some columns changed, at a running batch."""
    cases = case(**changes)
    replica = build_replica(cases)
    return replica, length_quantiles(cases), load_at(replica, np.array(running))


def latencies(case: Build, running: float, percentile: str, **changes: Any) -> dict[str, float]:
    """Return the latencies of a case at a running batch."""
    found = latency_at(*solved(case, running, **changes), percentile)
    return {metric: float(getattr(found, metric)) for metric in METRICS}


def decode_step_s(sequences: float) -> float:
    """Return a step of decodes alone, by hand."""
    return DENSE_S + sequences * (TOKEN_S + SEQUENCE_S)


def test_the_load_of_ten_sequences_by_hand(case: Build) -> None:
    """Each answer takes 100 steps and 1,000 prefill tokens: 10 for a decode, so one step in ten carries a prompt."""
    _, _, load = solved(case, 10.0)
    with_prompt = decode_step_s(10) + 1000 * (TOKEN_S + PROMPT_TOKEN_S)
    step = 0.9 * decode_step_s(10) + 0.1 * with_prompt
    assert float(load.step_s) == pytest.approx(step)
    assert float(load.step_alone_s) == pytest.approx(decode_step_s(10))
    assert float(load.prefill_tokens_per_step) == pytest.approx(100.0)
    assert float(load.answers_per_s) == pytest.approx(10 / (100 * step))
    full = decode_step_s(10) + 8000 * (TOKEN_S + PROMPT_TOKEN_S)
    assert float(load.prefill_work_s) == pytest.approx(full / 8000)


def test_all_ranks_and_stages_share_the_running_batch(case: Build) -> None:
    """60 sequences over 2 data-parallel ranks x 3 stages are ten in each batch; a stage works a third of the time."""
    replica, _, load = solved(case, 60.0, layout__data_parallel=2.0, layout__pipeline_parallel=3.0)
    _, _, alone = solved(case, 10.0)
    assert float(replica.ranks) == 6.0
    assert float(load.prefill_tokens_per_step) == pytest.approx(float(alone.prefill_tokens_per_step))
    assert float(load.answers_per_s * load.step_s) == pytest.approx(60 / 100)
    hand_over = 2 * 2000 / 1e11  # two of three stages pass a token of 2,000 bytes on
    assert float(load.step_alone_s) == pytest.approx(decode_step_s(10) + 10 * hand_over)


def test_speculative_decoding_by_hand(case: Build) -> None:
    """Two drafts kept with one half each: 1.75 tokens a step, computed three at a time, drafting for 2/10 of a step."""
    replica, _, load = solved(case, 10.0, layout__draft_tokens=2.0)
    assert float(replica.tokens_per_step) == 1.75
    verified = decode_step_s(10) + 10 * 2 * (TOKEN_S + 2 * 1e8 / 1e14 + 1050.5 * 2e5 / 1e14)
    assert float(load.step_alone_s) == pytest.approx(verified)
    prompts = 10 * 1000 / (100 / 1.75)
    mean = verified + prompts * (TOKEN_S + PROMPT_TOKEN_S)
    assert float(load.step_s) == pytest.approx((mean + 0.2 * verified) / 1.75)


@settings(max_examples=30)
@given(
    share=st.floats(1e-6, 0.99), prompt=st.floats(1.0, 8000.0), output=st.floats(1.5, 4000.0), cv=st.floats(0.0, 2.0)
)
def test_littles_law_both_ways(case: Build, share: float, prompt: float, output: float, cv: float) -> None:
    """B = rate x steps x step time, and the rate of a batch is served by that batch."""
    lengths = {"input_tokens_mean": prompt, "answer_tokens_mean": output, "generated_tokens_cv": cv}
    replica = build_replica(case(**{f"workload__{name}": v for name, v in lengths.items()}, layout__data_parallel=2.0))
    running = share * replica.memory.max_running_sequences
    load = load_at(replica, running)
    steps = float(replica.decode_steps_per_answer)
    assert float(load.answers_per_s) * steps * float(load.step_s) == pytest.approx(float(running), rel=1e-9)
    back = running_for_rate(replica, load.answers_per_s, replica.memory.max_running_sequences)
    assert float(back) == pytest.approx(float(running), rel=1e-6)


def test_a_rate_that_is_nearly_nothing_runs_on_empty_steps(case: Build) -> None:
    """B = rate x 100 x t(0, 0), plus a part in a hundred for the prompt of whoever comes."""
    replica = build_replica(case())
    rate = 1e-9
    empty = rate * 100 * DENSE_S
    found = float(running_for_rate(replica, np.array(rate), np.array(1000.0)))
    with_prompts = empty / (1 - rate * 1000 * (TOKEN_S + PROMPT_TOKEN_S))
    assert found == pytest.approx(with_prompts, rel=1e-3)


def test_a_rate_beyond_all_batches_gives_the_largest(case: Build) -> None:
    """A million answers a second: the largest batch, not an error; no rate is no batch."""
    replica = build_replica(case())
    assert float(running_for_rate(replica, np.array(1e6), np.array(512.0))) == pytest.approx(512.0)
    assert math.isnan(float(running_for_rate(replica, np.array(np.nan), np.array(512.0))))


def test_the_terms_of_a_load_add_up_to_its_step(case: Build) -> None:
    """What power and `explain` read is the step that Little's law used."""
    replica, _, load = solved(case, 50.0, layout__tensor_parallel=4.0)
    assert float(step_terms_at(replica, load).total_s) == pytest.approx(float(load.step_s))


def test_waits_use_each_queue_with_its_own_work(case: Build) -> None:
    """Two ranks halve the arrivals of each; M/D/1 by hand from the engine time of 1,000 prompt tokens."""
    replica, _, load = solved(case, 400.0, layout__data_parallel=2.0)
    prefill, slots = waits(replica, load)
    work = 1000 * float(load.prefill_work_s)
    rho = float(load.answers_per_s) / 2 * work
    assert float(prefill.probability) == pytest.approx(rho)
    assert float(prefill.mean_s) == pytest.approx(rho * work / (2 * (1 - rho)))
    assert float(slots.mean_s) >= 0.0


def test_a_first_token_with_nobody_else_around(case: Build) -> None:
    """Host 30 ms and 5 ms, three steps of scheduling and its own, and the prompt at the rate of full steps."""
    engine = {"request_overhead_s": 0.03, "prompt_overhead_s": 0.005, "scheduling_steps": 3.0}
    replica, lengths, load = solved(case, 1e-6, **{f"engine__{name}": v for name, v in engine.items()})
    fixed = 0.035 + 4 * DENSE_S
    assert float(fixed_ttft_s(replica, load)) == pytest.approx(fixed, rel=1e-4)
    prompt = 1000 * (DENSE_S / 8000 + TOKEN_S + PROMPT_TOKEN_S)
    assert float(ttft_mean_s(replica, load)) == pytest.approx(fixed + prompt, rel=1e-4)
    for percentile in ("p50", "p95", "p99"):
        assert float(latency_at(replica, lengths, load, percentile).ttft) == pytest.approx(fixed + prompt, rel=1e-4)


def test_scheduling_waits_for_whole_steps_drafts_included(case: Build) -> None:
    """Three steps of 1.75 tokens each last as long as they last, whatever they yield."""
    drafting = {"layout__draft_tokens": 2.0, "engine__scheduling_steps": 3.0}
    replica, _, load = solved(case, 10.0, **drafting)
    whole_step = float(average_step(replica, np.array(10.0))[1])
    assert float(fixed_ttft_s(replica, load)) == pytest.approx(3 * whole_step + float(load.step_alone_s))


def test_a_first_token_waits_in_both_queues(case: Build) -> None:
    """Near the running limit of 100 both waits count, their means in the mean and their quantiles in the tail."""
    replica, lengths, load = solved(case, 95.0, engine__max_running_sequences=100.0)
    prefill, slots = waits(replica, load)
    alone = float(fixed_ttft_s(replica, load)) + 1000 * float(load.prefill_work_s)
    assert min(float(prefill.mean_s), float(slots.mean_s)) > 0
    assert float(ttft_mean_s(replica, load)) == pytest.approx(alone + float(prefill.mean_s + slots.mean_s))
    tail = float(prefill.quantile_s(0.99) + slots.quantile_s(0.99))
    assert float(latency_at(replica, lengths, load, "p99").ttft) == pytest.approx(alone + tail)


def test_stages_lengthen_a_prompts_own_time_but_not_its_queue(case: Build) -> None:
    """With two stages a prompt occupies the queue half as long as it takes."""
    replica, _, load = solved(case, 2e-6, layout__pipeline_parallel=2.0)
    own = float(ttft_mean_s(replica, load) - fixed_ttft_s(replica, load))
    assert own == pytest.approx(2 * 1000 * float(load.prefill_work_s), rel=1e-6)


def test_tpot_is_that_of_the_batch_at_its_own_quantile(case: Build) -> None:
    """100 sequences on average, Poisson: 116.4 at the 95th percentile, 123.3 at the 99th, in steps without prompts."""
    _, _, load = solved(case, 100.0)
    for percentile, z in (("p95", 1.6448536), ("p99", 2.3263479)):
        widened = decode_step_s(100 + 10 * z) / decode_step_s(100)
        expected = float(load.step_s) * widened
        assert latencies(case, 100.0, percentile)["tpot"] == pytest.approx(expected, rel=1e-7)
    assert latencies(case, 100.0, "p50")["tpot"] == float(load.step_s)


def test_the_batch_at_its_quantile_stays_within_the_running_limit(case: Build) -> None:
    """At the limit of 100 sequences there is no 116th."""
    full = latencies(case, 100.0, "p95", engine__max_running_sequences=100.0)
    assert full["tpot"] == pytest.approx(latencies(case, 100.0, "p50")["tpot"])


def test_a_whole_answer_of_constant_length_by_hand(case: Build) -> None:
    """Median: TTFT and 100 tokens. Tail: first token and decode combine as a root of squares."""
    at50, at95 = latencies(case, 200.0, "p50"), latencies(case, 200.0, "p95")
    assert at50["e2e"] == pytest.approx(at50["ttft"] + 100 * at50["tpot"])
    assert at50["time_to_answer"] == pytest.approx(at50["ttft"])
    spread = math.hypot(at95["ttft"] - at50["ttft"], 100 * (at95["tpot"] - at50["tpot"]))
    assert at95["e2e"] == pytest.approx(at50["e2e"] + spread)


def test_thinking_comes_before_the_first_visible_token(case: Build) -> None:
    """300 thinking tokens before 100 visible ones: the answer begins 300 tokens after the first of any kind."""
    thinks = {"workload__answer_tokens_mean": 100.0, "workload__reasoning_multiplier": 4.0}
    at50 = latencies(case, 50.0, "p50", **thinks)
    assert at50["time_to_answer"] == pytest.approx(at50["ttft"] + 300 * at50["tpot"])
    assert at50["e2e"] == pytest.approx(at50["ttft"] + 399 * at50["tpot"])
    several = latencies(case, 50.0, "p50", **thinks, workload__samples_per_answer=4.0)
    assert several["time_to_answer"] == several["e2e"]


def test_turns_repeat_the_request(case: Build) -> None:
    """Four turns and 12 s of tools: medians add up, spreads by their root; the answer begins in the last turn."""
    cases = case(workload__turns_per_answer=4.0)
    replica = dataclasses.replace(build_replica(cases), pause_s=np.array(12.0))
    lengths, load = length_quantiles(cases), load_at(replica, np.array(100.0))
    ttft = {"p50": 1.0, "p95": 4.0}
    found = {p: latency_after(lambda name: np.array(ttft[name]), replica, lengths, load, p) for p in ("p50", "p95")}
    turn = 1.0 + 100 * float(load.step_s)
    spread = math.hypot(3.0, 100 * float(found["p95"].tpot - load.step_s))
    assert float(found["p50"].e2e) == pytest.approx(4 * turn + 12)
    assert float(found["p95"].e2e) == pytest.approx(4 * turn + math.sqrt(4) * spread + 12)
    assert float(found["p50"].time_to_answer) == pytest.approx(3 * turn + 1.0 + 12)
    last = math.sqrt(3 * spread**2 + 3.0**2)
    assert float(found["p95"].time_to_answer) == pytest.approx(3 * turn + 1.0 + last + 12)


def test_an_endless_queue_has_no_end_anywhere(case: Build) -> None:
    """Arrivals beyond the prefill capacity: TTFT, answer and end are infinite, TPOT is not; nothing is NaN."""
    replica, lengths, load = solved(case, 100.0)
    flooded = dataclasses.replace(load, answers_per_s=np.array(1e6))
    found = latency_at(replica, lengths, flooded, "p95")
    assert float(found.ttft) == float(found.time_to_answer) == float(found.e2e) == math.inf
    assert float(found.tpot) == latencies(case, 100.0, "p95")["tpot"]


def test_one_token_has_no_time_per_token(case: Build) -> None:
    """An answer of a single token ends with its first."""
    at95 = latencies(case, 1.0, "p95", workload__answer_tokens_mean=1.0)
    assert math.isnan(at95["tpot"])
    assert at95["e2e"] == pytest.approx(at95["ttft"])


def test_latencies_of_the_end_are_left_out_where_nobody_asks(case: Build) -> None:
    """Without `to_the_end` first token and step are the same, the rest is NaN."""
    solution = solved(case, 100.0)
    short, full = (latency_at(*solution, "p99", to_the_end=end) for end in (False, True))
    assert (float(short.ttft), float(short.tpot)) == (float(full.ttft), float(full.tpot))
    assert np.isnan(short.e2e).all()
    assert np.isnan(short.time_to_answer).all()


def test_the_first_visible_token_adds_no_spread(case: Build) -> None:
    """300 thinking tokens with cv 1 and one constant token: mean 301, standard deviation 300."""
    thinks = {"answer_tokens_mean": 100.0, "reasoning_multiplier": 4.0, "thinking_tokens_cv": 1.0}
    found = length_quantiles(case(**{f"workload__{name}": v for name, v in thinks.items()}))
    sigma = math.sqrt(math.log(1 + (300 / 301) ** 2))
    expected = 301 * math.exp(-(sigma**2) / 2 + 1.6448536 * sigma)
    assert float(found.thinking["p95"]) == pytest.approx(expected, rel=1e-7)


def test_a_cut_answer_cuts_its_thinking_in_proportion(case: Build) -> None:
    """400 tokens of which 301 come up to the first visible one, cut at 200: at most 200 x 301/400 of them."""
    thinks = {"answer_tokens_mean": 100.0, "reasoning_multiplier": 4.0, "max_tokens": 200.0}
    found = length_quantiles(case(**{f"workload__{name}": v for name, v in thinks.items()}))
    assert float(found.thinking["p99"]) == pytest.approx(200 * 301 / 400)
    assert float(found.output["p99"]) == pytest.approx(200.0)


def test_the_quantiles_of_lengths_by_hand(case: Build) -> None:
    """A lognormal prompt, a quarter of it cached; three samples, of which the longest counts."""
    found = length_quantiles(
        case(workload__input_tokens_cv=1.0, workload__cached_share=0.25, workload__generated_tokens_cv=1.0,
             workload__samples_per_answer=3.0)
    )  # fmt: skip
    sigma = math.sqrt(math.log(2.0))
    assert float(found.prefill["p50"]) == pytest.approx(750 * math.exp(-(sigma**2) / 2))
    assert float(found.prefill["p95"]) == pytest.approx(750 * math.exp(-(sigma**2) / 2 + 1.6448536 * sigma), rel=1e-6)
    # The median of the largest of three is the quantile at 0.5^(1/3) = 0.7937, z = 0.8193.
    assert float(found.output["p50"]) == pytest.approx(101 * math.exp(-(sigma**2) / 2 + 0.8193 * sigma), rel=1e-4)
    assert float(found.thinking["p50"]) == pytest.approx(float(found.output["p50"]))


@settings(max_examples=30)
@given(
    share=st.floats(1e-4, 0.9), more=st.floats(1.01, 1.1), cv=st.floats(0.0, 1.5), drafts=st.sampled_from([0.0, 2.0]),
    percentile=st.sampled_from(["p50", "p95", "p99"]),
)  # fmt: skip
def test_more_load_never_lowers_a_latency(
    case: Build, share: float, more: float, cv: float, drafts: float, percentile: str
) -> None:
    """TTFT, TPOT, time to answer and end to end all grow with the running batch, and so does the rate."""
    changes = {"workload__input_tokens_cv": cv, "workload__generated_tokens_cv": cv, "layout__draft_tokens": drafts}
    replica = build_replica(case(**changes))
    lengths, limit = length_quantiles(case(**changes)), 800.0 * share
    loads = [load_at(replica, np.array(limit * factor)) for factor in (1.0, more)]
    assert loads[1].answers_per_s >= loads[0].answers_per_s
    one, two = (latency_at(replica, lengths, load, percentile) for load in loads)
    for metric in METRICS:
        assert float(getattr(two, metric)) >= float(getattr(one, metric)) * (1 - 1e-9), metric


@settings(max_examples=30)
@given(running=st.floats(1e-3, 800.0), cv=st.floats(0.0, 1.5))
def test_percentiles_come_in_their_order(case: Build, running: float, cv: float) -> None:
    """p50 <= p95 <= p99, of every metric."""
    solution = solved(case, running, workload__input_tokens_cv=cv, workload__generated_tokens_cv=cv)
    by_percentile = [latency_at(*solution, name) for name in ("p50", "p95", "p99")]
    for metric in METRICS:
        values = [float(getattr(latency, metric)) for latency in by_percentile]
        assert values == sorted(values), metric


def test_a_row_of_loads_has_the_bits_of_each(case: Build) -> None:
    """100 batches at once and one by one, through load, latencies and back to the batch from the rate."""
    cases = case(workload__generated_tokens_cv=0.7, layout__tensor_parallel=2.0)
    replica, lengths, running = build_replica(cases), length_quantiles(cases), np.geomspace(0.01, 700.0, 100)
    row = load_at(replica, running)
    latency = latency_at(replica, lengths, row, "p95")
    back = running_for_rate(replica, row.answers_per_s, np.array(900.0))
    for i, batch in enumerate(running):
        point = load_at(replica, batch)
        alone = latency_at(replica, lengths, point, "p95")
        assert float(row.answers_per_s[i]) == float(point.answers_per_s)
        for field in dataclasses.fields(Latency):
            assert float(getattr(latency, field.name)[i]) == float(getattr(alone, field.name)), field.name
        assert float(back[i]) == float(running_for_rate(replica, point.answers_per_s, np.array(900.0)))


def test_the_average_step_is_between_its_two_kinds(case: Build) -> None:
    """A step without prompts and one with a whole prompt are the bounds, also with drafts."""
    replica = build_replica(case(layout__draft_tokens=1.0))
    prefill, step, alone = (float(x) for x in average_step(replica, np.array(20.0)))
    drafting = 0.1 * alone
    full = float(step_time_s(replica.costs, np.array(20.0), np.array(1000.0)))
    assert 0 < prefill < 1000
    assert alone + drafting < step < full + drafting
