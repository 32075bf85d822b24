"""What a load test shows of a deployment: closed loop (requests in flight), open loop (a rate), or all it can do."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from planner.serving.disaggregated import Deployment
from planner.serving.normal import Array, Mask
from planner.serving.queueing import closed_wait_quantile_s
from planner.serving.replica import Replica
from planner.serving.roots import solve_increasing
from planner.serving.slo import Limit, largest_running, running_limit, throughput_limit
from planner.serving.steady_state import (
    QUANTILES,
    Lengths,
    Load,
    first_token_s,
    fixed_ttft_s,
    latency_at,
    load_at,
    running_for_rate,
    ttft_mean_s,
    waits,
)

OPENING_ROUNDS = 10.0
"""Requests of a closed-loop run over its concurrency: what InferenceX and most published runs send (num_prompts)."""
_WIDEST = 40.0
"""How far below the concurrency the running batch is looked for, in logarithms: answers of one token hardly run."""
TEST_S = 600.0
"""Length of an open-loop test: the min_duration of MLPerf Inference's Server scenario (mlperf.conf)."""
TEST_REQUESTS = 1000.0
"""Requests of an open-loop test, which lasts longer than TEST_S where they need it: num_prompts of vLLM's and SGLang's
benchmarks by default."""
_ALL_BUT_FULL = 1.0 - 1e-9
_SHARE_OF_BURST = {"mean": 0.5, **QUANTILES}
"""The part of a burst's prompts that is processed before the mean request, or before one at a quantile."""


@dataclass(frozen=True, eq=False)
class LoadTestResult:
    """What a load test reports of a deployment; NaN where there is no number."""

    requests_per_s: Array
    running: Array
    """Sequences that decode, over all replicas."""
    load: Load
    """Of one decode replica."""
    ttft_mean_s: Array
    ttft_p50_s: Array
    ttft_p99_s: Array
    tpot_p99_s: Array
    overloaded: Mask
    """The rate asked for is above what the deployment can serve."""
    limit: Array
    """Index of the `Limit`: what binds where an open loop's queue does not settle during the test; 0 elsewhere."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """How a load test sends requests to a deployment."""

    concurrency: Array
    """Requests in flight of a closed loop; NaN where it is none."""
    rate: Array
    """Requests per second of an open loop; NaN where it is none. Both NaN: maximum load."""
    equal_lengths: Mask
    """All prompts are of one length, and all outputs."""


def run_load_test(deployment: Deployment, lengths: Lengths, fits: Mask, traffic: Traffic) -> LoadTestResult:
    """Return what a load test reports; NaN except where the deployment holds the run at all (`fits`).

    Closed loop: C = lambda (E[TTFT] + (G - 1) TPOT) (Little's law over all requests in flight), what finds no place
    waits; open loop: the rate; neither: the most that is served. TTFT is NaN where the queue of an open loop does not
    settle during the test (`settles`).
    """
    decode, replicas = deployment.decode, deployment.replicas
    concurrency, rate = traffic.concurrency / replicas, traffic.rate / replicas
    largest, binds = _largest_batch(deployment)
    running, waiting = _operating_point(deployment, concurrency, rate, largest)
    load = load_at(decode, np.where(fits, running, np.nan))
    closed = ~np.isnan(concurrency)
    waves = in_waves(decode, traffic) if deployment.prefill is None else np.zeros_like(closed)
    overloaded = load.answers_per_s < rate * _ALL_BUT_FULL
    entry = _entry(deployment, load, concurrency)
    places = waits(decode, load)[1]
    opened = first_token_s(entry.replica, lengths, entry.load, places)
    wait_s = waits(entry.replica, entry.load)[0].mean_s + places.mean_s
    settled = closed | settles(wait_s, load.answers_per_s, load_at(decode, largest).answers_per_s, replicas)
    wave = wave_load(decode, load, concurrency)
    beyond = np.maximum(concurrency / wave.answers_per_s - wave_cycle_s(decode, wave), 0.0)

    def ttft_of(name: str) -> Array:
        in_loop = closed_ttft_s(entry.replica, lengths, entry.load, entry.concurrency, name, waiting)
        steady = np.where(closed, in_loop, opened(name)) + entry.transfer_s
        value = np.where(waves, wave_ttft_s(decode, wave, name) + beyond, steady)
        return np.where(settled & np.isfinite(value), value, np.nan)

    tpot = np.where(waves, wave_tpot_s(decode, wave, "p99"), latency_at(decode, lengths, load, "p99").tpot)
    load = Load(**{name: np.where(waves, getattr(wave, name), getattr(load, name)) for name in vars(load)})
    return LoadTestResult(
        requests_per_s=np.asarray(load.answers_per_s * replicas),
        running=np.asarray(load.running * replicas),
        load=load,
        ttft_mean_s=ttft_of("mean"),
        ttft_p50_s=ttft_of("p50"),
        ttft_p99_s=ttft_of("p99"),
        tpot_p99_s=tpot,
        overloaded=overloaded,
        limit=np.where(settled, Limit.NONE, binds),
    )


def settles(wait_s: Array, answers_per_s: Array, most_answers_per_s: Array, replicas: Array) -> Mask:
    """Return whether the queue of an open loop settles during a test.

    From an empty start the mean wait nears its steady state E[W] as 1 - e^(-t/T) does, in about T = E[W]/(1 - u), u the
    rate over the most that is served: both grow without end as u nears 1. The queue settles where T is shorter than the
    test, TEST_S or TEST_REQUESTS requests.

    Parameters
    ----------
    wait_s : steady mean wait E[W], for prefill and for a place [s].
    answers_per_s, most_answers_per_s : rate of one replica, and the most it serves [1/s].
    replicas : replicas that share the rate [1].

    Returns
    -------
    Mask
        False at the maximum, where u = 1.

    References
    ----------
    J. Abate and W. Whitt, "Transient behavior of regulated Brownian motion, I", Advances in Applied Probability 19
    (1987) 560-598: the moment distribution function of a queue in heavy traffic, whose mean is T.
    """
    test_s = np.maximum(TEST_S, TEST_REQUESTS / (answers_per_s * replicas))
    return np.asarray(wait_s < test_s * (1.0 - answers_per_s / most_answers_per_s))


class _Entry(NamedTuple):
    """The replica at which a request arrives, with its load and its part of the requests in flight."""

    replica: Replica
    load: Load
    concurrency: Array
    transfer_s: Array


def _entry(deployment: Deployment, load: Load, concurrency: Array) -> _Entry:
    """Return where the requests of one decode replica arrive: at itself, or at the prefill pool."""
    prefill = deployment.prefill
    if prefill is None:
        return _Entry(deployment.decode, load, concurrency, _NOTHING)
    return _Entry(
        prefill.replica,
        prefill.load(load.answers_per_s * deployment.replicas / prefill.replicas),
        concurrency * deployment.replicas / prefill.replicas,
        prefill.transfer_s,
    )


_NOTHING = np.zeros(())


def _largest_batch(deployment: Deployment) -> tuple[Array, Array]:
    """Return (the largest running batch of a decode replica, index of the `Limit` that sets it)."""
    decode, prefill = deployment.decode, deployment.prefill
    if prefill is None:
        return largest_running(decode), throughput_limit(decode)
    most = decode.memory.max_running_sequences
    fed = running_for_rate(decode, prefill.most_answers_per_s * prefill.replicas / deployment.replicas, most)
    return fed, np.where(fed < most * _ALL_BUT_FULL, Limit.PREFILL, running_limit(decode))


def in_waves(replica: Replica, traffic: Traffic) -> Mask:
    """Return where a closed loop runs in waves: prefill comes before any decode, and all lengths are equal.

    The opening burst is prefilled as one, decodes as one and ends as one: the next burst arrives together again.
    """
    return traffic.equal_lengths & (replica.prefill_first > 0.0) & ~np.isnan(traffic.concurrency)


def wave_load(replica: Replica, load: Load, concurrency: Array) -> Load:
    """Return the load of a wave: every request in flight that finds room decodes, no prompt is processed meanwhile."""
    held = np.where(np.isnan(load.running), np.nan, np.minimum(concurrency, replica.memory.max_running_sequences))
    wave = load_at(replica, held)
    wave = replace(wave, prefill_tokens_per_step=np.zeros_like(held))
    tpot = wave_tpot_s(replica, wave, "mean")
    rate = held / wave_cycle_s(replica, replace(wave, step_s=tpot))
    return replace(wave, step_s=tpot, answers_per_s=np.asarray(rate))


def _burst_s(replica: Replica, wave: Load) -> tuple[Array, Array]:
    """Return (the time a rank needs for one prompt, for those of the other requests of its wave)."""
    prompt = replica.tokens.prefill_tokens_mean * wave.prefill_work_s * replica.stages
    held = wave.running / (replica.ranks / replica.stages)
    return prompt, np.asarray(np.maximum(held - 1.0, 0.0) * prompt)


def wave_ttft_s(replica: Replica, wave: Load, name: str) -> Array:
    """Return a TTFT of a wave [s]: the prompts processed before, one's own."""
    prompt, others = _burst_s(replica, wave)
    return np.asarray(fixed_ttft_s(replica, wave) + prompt + _SHARE_OF_BURST[name] * others)


def wave_tpot_s(replica: Replica, wave: Load, name: str) -> Array:
    """Return a TPOT of a wave [s]: a step of decodes, and a part of the wait for the prompts after one's own."""
    _, others = _burst_s(replica, wave)
    tokens = np.maximum(replica.tokens.generated_tokens_mean - 1.0, 1.0)
    per_token = wave.step_alone_s * (1.0 + replica.draft_share) / replica.tokens_per_step
    return np.asarray(per_token + _SHARE_OF_BURST[name] * others / tokens)


def wave_cycle_s(replica: Replica, wave: Load) -> Array:
    """Return the mean time of a request in waves, from sending to its last token [s]."""
    decode = (replica.tokens.generated_tokens_mean - 1.0) * wave.step_s
    return np.asarray(wave_ttft_s(replica, wave, "mean") + decode)


def _operating_point(deployment: Deployment, concurrency: Array, rate: Array, largest: Array) -> tuple[Array, Array]:
    """Return (running batch of a decode replica, time a closed loop waits for a place beyond what the queues say).

    `concurrency` and `rate` are one decode replica's part. Closed loop: at most the running limit runs; what exceeds
    it waits. Open loop: the batch that serves the rate. Neither: the largest batch.
    """
    decode = deployment.decode
    top = np.log(decode.memory.max_running_sequences)

    def excess(log_running: Array, inputs: tuple[Deployment, Array]) -> Array:
        deployment, concurrency = inputs
        load = load_at(deployment.decode, np.exp(log_running))
        return np.asarray(np.log(load.answers_per_s * _cycle_s(deployment, load, concurrency) / concurrency))

    most = np.minimum(top, np.log(concurrency))
    closed = np.exp(solve_increasing(excess, most - _WIDEST, most, (deployment, concurrency)))
    opened = running_for_rate(decode, rate, largest)
    running = np.where(np.isnan(concurrency), np.where(np.isnan(rate), largest, opened), closed)
    load = load_at(decode, running)
    surplus = concurrency / load.answers_per_s - _cycle_s(deployment, load, concurrency)
    return running, np.where(np.isnan(concurrency), 0.0, np.maximum(surplus, 0.0))


def _cycle_s(deployment: Deployment, load: Load, concurrency: Array) -> Array:
    """Return the mean time a closed-loop request takes from sending to its last token, places permitting."""
    entry = _entry(deployment, load, concurrency)
    first = closed_ttft_mean_s(entry.replica, entry.load, entry.concurrency) + entry.transfer_s
    return np.asarray(first + (deployment.decode.tokens.generated_tokens_mean - 1.0) * load.step_s)


def closed_ttft_mean_s(replica: Replica, load: Load, concurrency: Array) -> Array:
    """Return the mean TTFT of a closed loop [s] without the wait for a place."""
    alone, queued, opening = _closed_means_s(replica, load, concurrency)
    return np.asarray(alone + queued + opening)


def closed_ttft_s(
    replica: Replica, lengths: Lengths, load: Load, concurrency: Array, name: str, places_s: Array
) -> Array:
    """Return a TTFT of a closed loop [s]: its mean, or a quantile.

    A quantile of the wait is the larger one of the steady queue (`closed_wait_quantile_s`) and of the opening, which
    are waits of different requests, and the mean wait for a place. It stays within what C requests in flight
    allow: before a request is served, at most the other C - 1 are, which takes (C - 1)/rate. The 99th percentile is no
    less than the mean. (The mean comes from Little's law for the whole run and may exceed the bound by a part of a
    prompt; the bound is then the mean.)

    Parameters
    ----------
    lengths : quantiles of the lengths behind the latencies.
    concurrency : requests in flight, C.
    name : mean, or the name of a percentile.
    places_s : mean wait for a place in the running batch [s].
    """
    alone, queued, opening = _closed_means_s(replica, load, concurrency)
    if name == "mean":
        return np.asarray(alone + queued + opening + places_s)
    mean = queued + opening + places_s
    idle = replace(load, answers_per_s=np.zeros_like(load.running))
    fixed = latency_at(_roomy(replica, load), lengths, idle, name, to_the_end=False).ttft
    others, prompt = np.maximum(concurrency - 1.0, 0.0), _prompt_s(replica, load)
    ahead = np.maximum(np.ceil(concurrency / (replica.ranks / replica.stages)) - 1.0, 0.0)
    steady = closed_wait_quantile_s(
        waits(replica, load)[0], others / concurrency, prompt, np.asarray(ahead * prompt), QUANTILES[name]
    )
    wait = np.maximum(steady, _opening_s(replica, load, concurrency, name)) + places_s
    longest = others / (load.answers_per_s * replica.tokens.requests_per_answer)
    least = mean if QUANTILES[name] > QUANTILES["p50"] else np.zeros_like(mean)
    return np.asarray(fixed + np.maximum(np.minimum(wait, np.maximum(longest, mean)), least))


def _closed_means_s(replica: Replica, load: Load, concurrency: Array) -> tuple[Array, Array, Array]:
    """Return the parts of a closed loop's mean TTFT [s]: a request alone, the queue of the others, the opening."""
    roomy = _roomy(replica, load)
    alone = ttft_mean_s(roomy, replace(load, answers_per_s=np.zeros_like(load.running)))
    others = np.maximum(concurrency - 1.0, 0.0) / concurrency
    queued = np.where(others > 0.0, (ttft_mean_s(roomy, load) - alone) * others, 0.0)
    return alone, queued, _opening_s(replica, load, concurrency, "mean")


def _roomy(replica: Replica, load: Load) -> Replica:
    """Return a replica where no request waits for a place."""
    places = np.full_like(load.running, np.inf)
    return replace(replica, memory=replace(replica.memory, max_running_sequences=places))


def _prompt_s(replica: Replica, load: Load) -> Array:
    """Return the time a rank takes for one of many prompts [s]: engine and host."""
    return np.asarray(replica.tokens.prefill_tokens_mean * load.prefill_work_s + replica.prompt_overhead_s)


def _opening_s(replica: Replica, load: Load, concurrency: Array, name: str) -> Array:
    """Return what the opening of a closed loop adds to the mean TTFT, or a quantile of the wait with it alone [s].

    All C requests arrive at once and wait for one another: the last one for W = (C - 1) prompts, engine and host, those
    between evenly less. They are 1 in OPENING_ROUNDS of the run's requests, and the others count as zero.
    """
    held = np.minimum(concurrency, replica.memory.max_running_sequences) / (replica.ranks / replica.stages)
    last = np.maximum(held - 1.0, 0.0) * _prompt_s(replica, load)
    if name == "mean":
        return np.asarray(last / 2.0 / OPENING_ROUNDS)
    return np.asarray(last * max(0.0, 1.0 - (1.0 - QUANTILES[name]) * OPENING_ROUNDS))
