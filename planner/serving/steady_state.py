"""The steady state of a replica: Little's law solved for the running batch, latencies.

Choosing the running batch B gives the rate without an inner fixed point: B sequences take one step each
t(B, P), P = B x (prefill tokens / decode steps), so answers/s = B / (decode steps per answer x t).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.serving.cases import Cases
from planner.serving.lengths import mixture_quantile
from planner.serving.normal import Array
from planner.serving.queueing import Wait, prefill_wait, slot_wait
from planner.serving.replica import Replica, average_step
from planner.serving.roots import solve_increasing
from planner.serving.step import StepCosts, StepTerms, mean_step_s, mean_step_terms, step_time_s

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
METRICS = ("ttft", "tpot", "time_to_answer", "e2e")
_Z = {"p50": 0.0, "p95": 1.6448536269514722, "p99": 2.3263478740408408}
"""Standard normal quantiles."""
IDLE_FRACTION = 1e-6
"""Smallest running batch looked at, as a share of the largest: an idle replica."""


@dataclass(frozen=True, eq=False)
class Lengths:
    """Quantiles of the lengths behind the latencies [tokens], by percentile name."""

    prefill: dict[str, Array]
    thinking: dict[str, Array]
    """Tokens up to the first visible one (all tokens, where several samples must end first)."""
    output: dict[str, Array]
    """Tokens of the longest sample."""


@dataclass(frozen=True, eq=False)
class Latency:
    """Latencies at one percentile [s]."""

    ttft: Array
    tpot: Array
    time_to_answer: Array
    e2e: Array


@dataclass(frozen=True, eq=False)
class Load:
    """A replica at some load."""

    running: Array
    """Sequences in the running batch, over all ranks."""
    answers_per_s: Array
    step_s: Array
    """The average step over the tokens it yields a sequence: time per token."""
    prefill_tokens_per_step: Array
    prefill_work_s: Array
    """Engine seconds of one prefill token, from a step full of them; pipeline stages work on different steps."""
    step_alone_s: Array
    """A step of the same batch without prefill."""


def length_quantiles(cases: Cases) -> Lengths:
    """Return the length quantiles of each case.

    Mixtures over the components, each weighted with its requests (share times turns). Before the first visible token
    come the thinking tokens T = A (m - 1) and that token: T + 1 with cv cv_T T/(T + 1), cut where max_tokens cuts all.
    Several samples must all end first, so there it is all generated tokens of the longest.

    Parameters
    ----------
    cases : for the workload, shape (..., k) with k components.

    Returns
    -------
    Lengths
        Quantiles [tokens], shape (...).
    """
    w = cases.workload
    requests = w.share * w.turns_per_answer
    one, no_cap = np.ones_like(w.share), np.full_like(w.share, np.inf)
    uncached = w.input_tokens_mean * (1.0 - w.cached_share)
    generated = w.uncut_tokens_mean
    several = w.samples_per_answer > 1.0
    thinking = generated - w.answer_tokens_mean
    before = np.where(several, generated, thinking + 1.0)
    before_cv = np.where(several, w.generated_tokens_cv, w.thinking_tokens_cv * thinking / (thinking + 1.0))
    cut = np.where(several, w.max_tokens, w.max_tokens * before / generated)
    cut = np.maximum(cut, IDLE_FRACTION)

    def quantiles(mean: Array, cv: Array, cap: Array, draws: Array) -> dict[str, Array]:
        return {name: mixture_quantile(q, mean, cv, cap, requests, draws) for name, q in QUANTILES.items()}

    return Lengths(
        prefill=quantiles(uncached, w.input_tokens_cv, no_cap, one),
        thinking=quantiles(before, before_cv, cut, w.samples_per_answer),
        output=quantiles(generated, w.generated_tokens_cv, w.max_tokens, w.samples_per_answer),
    )


def load_at(replica: Replica, running: Array) -> Load:
    """Return the load of a replica, from its running batch.

    lambda = B/(D t(B, P)), P = B x (prefill tokens)/D: B sequences take one step each, and prefill and decode keep pace
    (Little's law). Choosing B and solving for the rate lambda needs no inner fixed point.

    Parameters
    ----------
    replica : one replica of each case.
    running : sequences B in the running batch on average, over all ranks [1]; NaN gives NaN.

    Returns
    -------
    Load
        Rates and times of the broadcast shape of both.
    """
    prefill, step, alone = average_step(replica, running)
    rate = running / (replica.decode_steps_per_answer * step)
    full_step = step_time_s(replica.costs, running / replica.ranks, replica.token_budget)
    work = full_step / replica.token_budget / replica.stages
    per_token = np.asarray(step / replica.tokens_per_step)
    return Load(running, np.asarray(rate), per_token, np.asarray(prefill), np.asarray(work), alone)


def step_terms_at(replica: Replica, load: Load) -> StepTerms:
    """Return what the average step of a load consists of."""
    sequences = load.running / replica.ranks
    return mean_step_terms(replica.costs, sequences, load.prefill_tokens_per_step, replica.prefill_chunk)


def waits(replica: Replica, load: Load) -> tuple[Wait, Wait]:
    """Return the waits of a request: in the prefill queue of its rank, and for a place in the running batch.

    Parameters
    ----------
    replica, load : one replica of each case, and its load.

    Returns
    -------
    tuple[Wait, Wait]
        Prefill wait and slot wait.
    """
    tokens, work = replica.tokens, load.prefill_work_s
    requests = load.answers_per_s * tokens.requests_per_answer / (replica.ranks / replica.stages)
    prefill = prefill_wait(
        requests, tokens.prefill_tokens_mean * work, tokens.prefill_tokens_second_moment * np.square(work)
    )
    hold = (tokens.generated_tokens_mean - 1.0) * load.step_s
    slots = slot_wait(load.running, replica.memory.max_running_sequences, hold, tokens.generated_tokens_cv)
    return prefill, slots


def ttft_mean_s(replica: Replica, load: Load) -> Array:
    """Return the mean time to first token [s]: the fixed part, the means of both waits, and the prompt n_1 w PP."""
    return _ttft_mean_s(replica, load, *waits(replica, load))


def _ttft_mean_s(replica: Replica, load: Load, prefill: Wait, slots: Wait) -> Array:
    prompt = replica.tokens.prefill_tokens_mean * load.prefill_work_s * replica.stages
    return np.asarray(fixed_ttft_s(replica, load) + prefill.mean_s + slots.mean_s + prompt)


def fixed_ttft_s(replica: Replica, load: Load) -> Array:
    """Return what of a TTFT neither waits in a queue nor grows with the prompt [s].

    t_request + t_prompt + s t(B, P) + t(B, 0): the host, the s steps of scheduling, and the decodes of the step that
    reads the end of the prompt. Speculative decoding: whole steps count, not the time of a token.
    """
    steps = replica.scheduling_steps * load.step_s * replica.tokens_per_step + load.step_alone_s
    return np.asarray(replica.request_overhead_s + replica.prompt_overhead_s + steps)


def latency_at(replica: Replica, lengths: Lengths, load: Load, percentile: str, *, to_the_end: bool = True) -> Latency:
    """Return the latencies of a replica that does prefill and decode, at a percentile; see `latency_after`."""
    ttft = first_token_s(replica, lengths, load)
    return latency_after(ttft, replica, lengths, load, percentile, to_the_end=to_the_end)


def first_token_s(replica: Replica, lengths: Lengths, load: Load, places: Wait | None = None) -> Callable[[str], Array]:
    """Return the time to first token as a function of the percentile's name, or of "mean".

    TTFT_q = fixed + W_prefill,q + W_slot,q + n_q w PP: what neither waits nor grows with the prompt, both waits, the
    prompt itself; w is the engine time of one of its tokens. The waits' quantiles are added (an upper bound).

    Parameters
    ----------
    replica, load : one replica of each case, and its load.
    lengths : for the quantiles n_q of the uncached prompt [tokens].
    places : wait for a place to decode, where that is at another replica.

    Returns
    -------
    Callable[[str], Array]
        "p50", "p95", "p99", "mean" -> TTFT [s]; infinite where a queue has no end.
    """
    prefill_queue, slot_queue = waits(replica, load)
    slot_queue = places or slot_queue
    work, fixed = load.prefill_work_s, fixed_ttft_s(replica, load)

    def at(name: str) -> Array:
        if name == "mean":
            return _ttft_mean_s(replica, load, prefill_queue, slot_queue)
        queued = prefill_queue.quantile_s(QUANTILES[name]) + slot_queue.quantile_s(QUANTILES[name])
        return np.asarray(fixed + queued + lengths.prefill[name] * work * replica.stages)

    return at


def latency_after(
    ttft: Callable[[str], Array],
    replica: Replica,
    lengths: Lengths,
    load: Load,
    percentile: str,
    *,
    to_the_end: bool = True,
) -> Latency:
    """Return the latencies at a percentile.

    TPOT_q = t(B, P) t(B_q, 0)/t(B, 0), with the batch at its own quantile B_q = B + z_q sqrt(B) (Poisson), at most the
    running limit. A request of x tokens takes

        median = TTFT_50 + max(x_50 - 1, 0) TPOT_50
        spread^2 = (TTFT_q - TTFT_50)^2 + (max(x_q - 1, 0) TPOT_q - max(x_50 - 1, 0) TPOT_50)^2

    since quantiles of independent parts combine around their medians by root sum of squares. An answer of u turns takes
    u median + sqrt(u) spread; its first visible token comes in the last turn.

    Parameters
    ----------
    ttft : time to first token [s] as a function of the percentile's name.
    replica : the one that decodes.
    lengths : quantiles of thinking and output [tokens].
    load : of that replica.
    percentile : "p50", "p95" or "p99".
    to_the_end : whether latencies of a whole answer are needed; they are NaN otherwise.

    Returns
    -------
    Latency
        Latencies [s]. An infinite TTFT stays infinite; TPOT is NaN where an answer has one token.
    """
    q = QUANTILES[percentile]

    def tpot(name: str) -> Array:
        if name == "p50":
            return load.step_s
        batch = load.running + _Z[name] * np.sqrt(load.running)
        # A load above the limit is asked about too; its batch does not shrink to the limit.
        batch = np.minimum(batch, np.maximum(replica.memory.max_running_sequences, load.running)) / replica.ranks
        widened = step_time_s(replica.costs, batch, np.zeros_like(batch)) / load.step_alone_s
        return np.asarray(load.step_s * widened)

    first, step, step50 = ttft(percentile), tpot(percentile), load.step_s
    shown_step = np.where(replica.tokens.generated_tokens_mean > 1.0, step, np.nan)
    if not to_the_end:
        return Latency(ttft=first, tpot=shown_step, time_to_answer=np.full(1, np.nan), e2e=np.full(1, np.nan))
    first50 = ttft("p50")
    turns = replica.tokens.requests_per_answer

    def median_and_square(tokens: dict[str, Array]) -> tuple[Array, Array]:
        """Return (median, square of the spread around it) of a request up to so many tokens."""
        decode50 = np.maximum(tokens["p50"] - 1.0, 0.0) * step50
        decode = np.maximum(tokens[percentile] - 1.0, 0.0) * np.where(q == 0.5, step50, step)  # noqa: PLR2004
        wait = np.where(np.isinf(first), np.inf, first - first50)  # inf - inf would be NaN
        return first50 + decode50, np.square(wait) + np.square(decode - decode50)

    turn, turn_square = median_and_square(lengths.output)
    last, last_square = median_and_square(lengths.thinking)
    before = turns - 1.0
    # With a single turn an infinite wait times 0 turns before it would be NaN.
    earlier, earlier_square = (np.where(before > 0.0, before * x, 0.0) for x in (turn, turn_square))
    return Latency(
        ttft=first,
        tpot=shown_step,
        time_to_answer=np.asarray(earlier + last + np.sqrt(earlier_square + last_square) + replica.pause_s),
        e2e=np.asarray(turns * turn + np.sqrt(turns * turn_square) + replica.pause_s),
    )


def running_for_rate(replica: Replica, answers_per_s: Array, largest: Array) -> Array:
    """Return the running batch that serves a rate: the smallest root B of B = lambda D t(B, P) (Little's law).

    A step never takes less than an empty one, so lambda D t(0, 0) is a lower bound.

    Parameters
    ----------
    replica : one replica of each case.
    answers_per_s : rate lambda [1/s]; NaN gives NaN.
    largest : batch that is returned where no smaller one serves the rate [1].

    Returns
    -------
    Array
        Sequences in the running batch, over all ranks [1].
    """
    top = np.log(np.maximum(largest, np.finfo(np.float64).tiny))
    nothing = np.zeros_like(replica.decode_steps_per_answer)
    per_s = replica.decode_steps_per_answer * answers_per_s
    bottom = np.minimum(np.log(per_s * step_time_s(replica.costs, nothing, nothing)), top)

    # As `average_step`, from the few columns it reads: the solver carries along all it is handed.
    def excess(log_running: Array, inputs: tuple[StepCosts, Array, Array, Array, Array, Array]) -> Array:
        costs, ranks, prefill_per_decode, chunk, draft_share, steps_per_s = inputs
        sequences = np.exp(log_running) / ranks
        t, alone = mean_step_s(costs, sequences, sequences * prefill_per_decode, chunk)
        return np.asarray(log_running - np.log(steps_per_s * (t + draft_share * alone)))

    chunk, draft = replica.prefill_chunk, replica.draft_share
    inputs = (replica.costs, replica.ranks, replica.prefill_tokens_per_decode, chunk, draft, per_s)
    return np.exp(solve_increasing(excess, bottom, top, inputs))
