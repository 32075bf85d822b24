"""A deployment: a decode pool and, where prompts are processed by replicas of their own, a prefill pool beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.serving.replica import Replica, build_replica, prompt_transfer_s
from planner.serving.steady_state import Lengths, Load, first_token_s, load_at, waits

_NOTHING_RUNS = 1e-15
"""Running batch of a replica that only processes prompts."""
_UNKNOWN_COUNT = np.asarray(np.inf)
"""Replicas of a pool whose size is yet to be found: too many for the fast links of one scale-up domain."""


@dataclass(frozen=True, eq=False)
class PrefillPool:
    """Equal replicas that process prompts and hand the KV cache to a decode pool."""

    replica: Replica
    replicas: Array
    transfer_s: Array
    """Time the cache of a mean prompt takes to a decode replica."""
    idle: Load
    """Of a replica without a prompt."""
    most_answers_per_s: Array
    """Rate at which a replica is busy all the time."""

    def load(self, answers_per_s: Array) -> Load:
        """Return the load of one replica at a rate of its own; NaN where the rate is. No decode runs beside prompts."""
        step = np.where(np.isnan(answers_per_s), np.nan, self.idle.step_s)
        return dataclasses.replace(self.idle, answers_per_s=np.asarray(answers_per_s), step_s=step)


@dataclass(frozen=True, eq=False)
class Deployment:
    """Equal decode replicas and the prefill pool beside them; without one the decode replicas do both."""

    decode: Replica
    """Beside a prefill pool no step of it carries a prompt."""
    replicas: Array
    prefill: PrefillPool | None

    def ttft(self, lengths: Lengths, decode_load: Load, prefill_load: Load) -> Callable[[str], Array]:
        """Return the time to first token [s] as a function of the percentile's name.

        With two pools it is that of the prefill replica, in which the wait is for a place at the decode replica, and
        the transfer of the prompt's cache (quantiles of the waits are added: an upper bound). With one pool the decode
        replica's load is all that counts.
        """
        if self.prefill is None:
            return first_token_s(self.decode, lengths, decode_load)
        return ttft_of_pools(self.prefill, self.decode, lengths, prefill_load, decode_load)


def ttft_of_pools(
    prefill: PrefillPool, decode: Replica, lengths: Lengths, prefill_load: Load, decode_load: Load
) -> Callable[[str], Array]:
    """Return the time to first token [s] of two pools as a function of the percentile's name."""
    first = first_token_s(prefill.replica, lengths, prefill_load, waits(decode, decode_load)[1])
    return lambda name: np.asarray(first(name) + prefill.transfer_s)


def deployment_of(
    cases: Cases, replicas: Array = _UNKNOWN_COUNT, prefill_replicas: Array = _UNKNOWN_COUNT
) -> Deployment:
    """Return the deployment of cases that all have a prefill pool, or all have none.

    Parameters
    ----------
    cases : `prefill_layout` is the layout of a prefill replica; None where decode replicas do both.
    replicas, prefill_replicas : replicas of each pool; infinite where they are yet to be found.
    """
    decode = build_replica(cases)
    if cases.prefill_layout is None:
        return Deployment(decode, replicas, None)
    prefill_cases = dataclasses.replace(cases, layout=cases.prefill_layout)
    transfer_s = prompt_transfer_s(prefill_cases, cases, prefill_replicas, replicas)
    prefill = prefill_pool(build_replica(prefill_cases), prefill_replicas, transfer_s)
    return Deployment(decode_only(decode), replicas, prefill)


def decode_only(replica: Replica) -> Replica:
    """Return a replica whose steps carry no prompt."""
    return dataclasses.replace(replica, prefill_tokens_per_decode=np.zeros_like(replica.prefill_tokens_per_decode))


def prefill_pool(replica: Replica, replicas: Array, transfer_s: Array) -> PrefillPool:
    """Return a pool of equal prefill replicas."""
    idle = load_at(replica, np.full_like(replica.gpus_per_replica, _NOTHING_RUNS))
    most = prefill_answers_per_s(
        replica.ranks,
        replica.stages,
        replica.tokens.requests_per_answer,
        replica.tokens.prefill_tokens_mean,
        idle.prefill_work_s,
    )
    return PrefillPool(replica, replicas, transfer_s, idle, most)


def prefill_answers_per_s(
    ranks: Array, stages: Array, requests_per_answer: Array, prefill_tokens_mean: Array, prefill_work_s: Array
) -> Array:
    """Return the rate of answers at which a prefill replica is busy all the time [1/s].

    Parameters
    ----------
    ranks : batches in flight; `stages` of them are one after the other [1].
    requests_per_answer : prompts of an answer [1].
    prefill_tokens_mean : uncached tokens of a prompt [tokens].
    prefill_work_s : engine time of a token of a step full of them [s].
    """
    answer_s = prefill_tokens_mean * requests_per_answer * prefill_work_s
    return np.asarray(ranks / stages / np.maximum(answer_s, _LEAST_WORK_S))


_LEAST_WORK_S = 1e-30
"""A prompt that is found in the cache whole takes no time; this keeps the rate finite."""
