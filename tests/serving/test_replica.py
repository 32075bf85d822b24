"""A replica: steps and prompts of an answer, conversations that wait for tools, and a cache that travels."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.serving.cases import Cases
from planner.serving.columns import PauseColumns
from planner.serving.replica import Replica, build_replica, prompt_transfer_s
from planner.serving.steady_state import load_at

Build = Callable[..., Cases]
pytestmark = pytest.mark.usefixtures("float_errors_ignored")


def paused(case: Build, held_pause_s: float, held_tokens: float = 2000.0, **changes: Any) -> Replica:
    """Return a replica with room for 266 sequences of which tools hold some."""
    pauses = PauseColumns(*(np.array(v) for v in (held_pause_s, held_pause_s, held_tokens)))
    return build_replica(dataclasses.replace(case(gpu__memory_bytes=1e10, **changes), pauses=pauses))


def test_an_answer_takes_a_step_for_each_token_but_its_first(case: Build) -> None:
    """Three samples in two turns of 101 tokens: 600 steps, and 2,000 prefill tokens spread over them."""
    replica = build_replica(case(workload__samples_per_answer=3.0, workload__turns_per_answer=2.0))
    assert float(replica.decode_steps_per_answer) == pytest.approx(600.0)
    assert float(replica.prefill_tokens_per_decode) == pytest.approx(2000 / 600)


def test_a_replica_counts_its_gpus_and_its_batches(case: Build) -> None:
    """TP 2 x PP 3 x DP 4: 24 GPUs, twelve batches in flight; expert parallelism adds none."""
    layout = {"tensor_parallel": 2.0, "pipeline_parallel": 3.0, "data_parallel": 4.0, "expert_parallel": 8.0}
    replica = build_replica(case(**{f"layout__{name}": v for name, v in layout.items()}))
    assert (float(replica.gpus_per_replica), float(replica.ranks), float(replica.stages)) == (24.0, 12.0, 3.0)


def test_an_answer_of_one_token_still_has_a_rate(case: Build) -> None:
    """No decode step, but prompts: the batch is next to nothing, the rate is what prompts allow."""
    replica = build_replica(case(workload__answer_tokens_mean=1.0))
    load = load_at(replica, np.array(1e-6))
    assert 0 < float(load.answers_per_s) < np.inf
    # All of the step is prefill: 1,000 tokens an answer at once.
    assert float(load.answers_per_s * load.step_s) == pytest.approx(1.0)


def test_held_caches_and_running_ones_share_the_room(case: Build) -> None:
    """B mu + (rate x pause) x held = K, by Little's law for those who wait; 2,000 tokens of 20 kB are held for 5 s."""
    replica = paused(case, 5.0)
    memory, batch = replica.memory, replica.memory.sequences_that_fit
    waiting = float(load_at(replica, batch).answers_per_s) * 5.0
    held = waiting * 2000 * 2e4
    assert float(memory.paused_bytes) == pytest.approx(held, rel=1e-9)
    assert float(batch * memory.kv_bytes_per_sequence) + held == pytest.approx(1e10 - 4.4e9, rel=1e-9)


def test_ranks_and_stages_hold_their_part_of_what_waits(case: Build) -> None:
    """Two ranks and two stages: each GPU holds a quarter of the conversations' layers."""
    replica = paused(case, 5.0, layout__data_parallel=2.0, layout__pipeline_parallel=2.0)
    memory, batch = replica.memory, replica.memory.sequences_that_fit
    held = float(load_at(replica, batch).answers_per_s) * 5.0 * 2000 * 2e4 / 4
    assert float(memory.paused_bytes) == pytest.approx(held, rel=1e-9)
    assert float(batch / 2 * memory.kv_bytes_per_sequence) + held == pytest.approx(1e10 - 2.2e9, rel=1e-9)


def test_the_engines_limit_counts_each_batch_beside_pauses_too(case: Build) -> None:
    """Ten sequences on each of two ranks x two stages, where the cache would hold more."""
    layout = {"layout__data_parallel": 2.0, "layout__pipeline_parallel": 2.0, "engine__max_running_sequences": 10.0}
    assert float(paused(case, 1.0, **layout).memory.max_running_sequences) == 40.0


def test_a_pause_of_no_time_takes_no_room(case: Build) -> None:
    """The batch is that without pauses, and nothing is held."""
    plain = build_replica(case(gpu__memory_bytes=1e10)).memory
    found = paused(case, 0.0).memory
    assert float(found.sequences_that_fit) == pytest.approx(float(plain.sequences_that_fit), rel=1e-9)
    assert float(found.paused_bytes) == 0.0


@settings(max_examples=30)
@given(pause=st.floats(0.01, 100.0), longer=st.floats(1.0, 10.0), z=st.floats(0.0, 3.0))
def test_longer_pauses_never_leave_more_room(case: Build, pause: float, longer: float, z: float) -> None:
    """Nor does more held; the engine's own limit stays on top."""
    changes = {"engine__kv_overflow_z": z, "workload__generated_tokens_cv": 1.0}
    one, two = (float(paused(case, p, **changes).memory.sequences_that_fit) for p in (pause, pause * longer))
    assert two <= one * (1 + 1e-9)
    limited = paused(case, pause, engine__max_running_sequences=50.0, **changes).memory
    assert float(limited.max_running_sequences) == pytest.approx(min(50.0, one), rel=1e-9)


def test_a_window_holds_no_more_while_a_tool_runs(case: Build) -> None:
    """2,000 held tokens in layers with a window of 500 are 500."""
    window = {"model__kv_full_elements": 0.0, "model__kv_window_elements": 1e4, "model__window_tokens": 500.0}
    assert float(paused(case, 5.0, **window).memory.paused_bytes) == pytest.approx(
        float(paused(case, 5.0, held_tokens=500.0, **window).memory.paused_bytes)
    )


@pytest.mark.parametrize(
    ("prefill_tp", "decode_tp", "workers", "senders", "rate"),
    [
        (1.0, 1.0, 1.0, 1, 1e11),  # two GPUs of one domain: over the link
        (4.0, 2.0, 1.0, 2, 1e11),  # the smaller group sends or receives its part at once
        (4.0, 4.0, 1.0, 4, 1e11),  # eight GPUs still share the domain
        (4.0, 4.0, 2.0, 4, 1e10),  # twelve do not: over the network
        (8.0, 2.0, 1.0, 2, 1e10),
    ],
)
def test_the_cache_of_a_prompt_travels_once(
    case: Build, prefill_tp: float, decode_tp: float, workers: float, senders: int, rate: float
) -> None:
    """1,000 tokens of 20 kB and 1 MB of state, whole, over the GPUs of the smaller worker."""
    state = {"model__state_bytes": 1e6, "model__state_heads": 4.0}
    reading, writing = (case(layout__tensor_parallel=tp, **state) for tp in (prefill_tp, decode_tp))
    found = prompt_transfer_s(reading, writing, np.array(workers), np.array(1.0))
    assert float(found) == pytest.approx((1000 * 2e4 + 1e6) / (senders * rate))


def test_all_gpus_of_a_worker_count_towards_the_domain(case: Build) -> None:
    """Three stages of two GPUs beside a single one share a domain of eight; four stages do not."""
    decode = case()
    for stages, rate in ((3.0, 1e11), (4.0, 1e10)):
        prefill = case(layout__tensor_parallel=2.0, layout__pipeline_parallel=stages)
        found = prompt_transfer_s(prefill, decode, np.array(1.0), np.array(1.0))
        assert float(found) == pytest.approx(1000 * 2e4 / rate)


def test_a_mean_prompt_travels_at_the_engines_share_of_the_rate(case: Build) -> None:
    """A quarter of answers with 4,000 tokens, the rest with 400: 1,300 on average; half the link's rate."""
    mixed = case(
        workload__share=np.array([0.25, 0.75]), workload__input_tokens_mean=np.array([4000.0, 400.0]),
        engine__link_efficiency=0.5,
    )  # fmt: skip
    found = prompt_transfer_s(mixed, mixed, np.array(1.0), np.array(1.0))
    assert float(found) == pytest.approx(1300 * 2e4 / 0.5e11)
