"""Load tests of runs, solved: the columns of a prediction, and why some runs cannot be served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.loadtest.run import Run, layouts
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.closed_loop import LoadTestResult, Traffic, run_load_test
from planner.serving.disaggregated import Deployment, deployment_of
from planner.serving.kv_cache import longest_context_tokens
from planner.serving.normal import Array, Mask
from planner.serving.power import average_power_w, busy_power_at
from planner.serving.steady_state import length_quantiles


@dataclass(frozen=True, eq=False)
class LoadTests:
    """What load tests show, and why some runs cannot be served."""

    columns: dict[str, Array]
    """NaN where there is no number."""
    has_room: Mask
    """Every replica holds one sequence at least."""
    too_long: Mask
    """Input and output exceed the model's context."""
    overloaded: Mask
    limit: Array
    """Index into LIMITS of what binds where an open loop's queue does not settle during the test; 0 elsewhere."""


def by_pools(runs: Sequence[Run]) -> Iterator[tuple[NDArray[np.intp], list[Run]]]:
    """Yield (positions, runs) of the runs with one pool, and of those with two."""
    two_pools = np.asarray([run.pool is not None for run in runs])
    for chosen in (~two_pools, two_pools):
        index = np.flatnonzero(chosen)
        if index.size:
            yield index, [runs[i] for i in index.tolist()]


def solve_runs(cases: Cases, runs: Sequence[Run]) -> LoadTests:
    """Return what runs show that all have one pool, or all two.

    `cases` are those of the decode workers, also with other factors than a run's engine has.
    """
    with ignoring_float_errors():
        deployment, lengths = _deployment(cases, runs), length_quantiles(cases)
        tokens, room = deployment.decode.tokens, _has_room(deployment)
        in_context = tokens.input_tokens_per_answer + tokens.generated_tokens_mean
        too_long = in_context > cases.model.max_context_tokens
        concurrency, rate, spread = (_numbers(runs, n) for n in ("concurrency", "request_rate", "length_spread"))
        found = run_load_test(deployment, lengths, room & ~too_long, Traffic(concurrency, rate, spread == 0.0))
        return LoadTests(_columns(cases, deployment, found), room, too_long, found.overloaded, found.limit)


def _numbers(runs: Sequence[Run], name: str) -> Array:
    return np.asarray([run.numbers[name] for run in runs])


def _deployment(cases: Cases, runs: Sequence[Run]) -> Deployment:
    replicas = np.asarray([run.replicas for run in runs])
    prefill_replicas = np.asarray([run.pool.workers for run in runs if run.pool])
    if prefill_replicas.size:
        cases = replace(cases, prefill_layout=layouts(runs, of_prefill=True))
    return deployment_of(cases, replicas, prefill_replicas)


def _has_room(deployment: Deployment) -> Mask:
    room = deployment.decode.memory.max_running_sequences >= 1.0
    if deployment.prefill is not None:
        room = room & (deployment.prefill.replica.memory.max_running_sequences >= 1.0)
    return np.asarray(room)


def _columns(cases: Cases, deployment: Deployment, found: LoadTestResult) -> dict[str, Array]:
    longest = longest_context_tokens(cases, deployment.decode.memory.kv_capacity_bytes)
    decode, prefill, tokens = deployment.decode, deployment.prefill, deployment.decode.tokens
    requests = found.requests_per_s
    output = requests * tokens.generated_tokens_per_answer
    gpus, busy, prefill_gpus = deployment.replicas * decode.gpus_per_replica, np.zeros(()), np.zeros(())
    if prefill is not None:
        busy = requests / (prefill.most_answers_per_s * prefill.replicas)
        prefill_gpus = prefill.replicas * prefill.replica.gpus_per_replica
        gpus = gpus + prefill_gpus
    return {
        "ttft_mean_s": found.ttft_mean_s,
        "ttft_p50_s": found.ttft_p50_s,
        "ttft_p99_s": found.ttft_p99_s,
        "tpot_mean_s": np.where(tokens.generated_tokens_mean > 1.0, found.load.step_s, np.nan),
        "tpot_p99_s": found.tpot_p99_s,
        "output_tokens_per_s": output,
        "output_tokens_per_s_per_gpu": output / gpus,
        "total_tokens_per_s_per_gpu": (output + requests * tokens.input_tokens_per_answer) / gpus,
        "requests_per_s": requests,
        "running_batch": found.running,
        "longest_context_tokens": longest,
        "power_w_per_gpu": average_power_w(
            cases, prefill, busy, prefill_gpus / gpus, busy_power_at(cases, decode, found.load)
        ),
    }
