"""Dollars: of a fleet, reserved and used, per month, answer, million tokens and correct answer; of an API, its bill."""

from dataclasses import dataclass

import numpy as np

from planner import units
from planner.serving.normal import Array


@dataclass(frozen=True)
class Money:
    """What the fleet costs; NaN where a price, a rate or an accuracy is unknown."""

    gpu_hours_per_month_reserved: Array
    gpu_hours_per_month_used: Array
    utilization: Array
    cost_usd_per_month: Array
    cost_usd_per_answer: Array
    cost_usd_per_answer_used: Array
    cost_usd_per_correct_answer: Array


@dataclass(frozen=True)
class TokenMoney:
    """The dollars of an answer, split between the tokens read and those written."""

    cost_usd_per_mtok_input: Array
    cost_usd_per_mtok_output: Array


def money(
    gpus: Array,
    answers_per_s: Array,
    gpu_seconds_per_answer: Array,
    usd_per_gpu_hour: Array,
    extra_share: Array,
    accuracy: Array,
) -> Money:
    """Return the money of a fleet.

    Parameters
    ----------
    gpus : GPUs billed (a mean may be fractional) [1].
    answers_per_s : mean rate over the month [1/s].
    gpu_seconds_per_answer : at the replica's SLO capacity [s].
    usd_per_gpu_hour : price [USD/h]; extra_share comes on top [1].
    accuracy : share of right answers, NaN where unknown [1].

    Notes
    -----
    Reserved cost = GPUs x 730 h x price x (1 + extra): what is paid, asked or not. Used cost counts the
    GPU-seconds of the answers only.
    """
    # a month is 730 h
    gpu_hours_per_month_reserved = gpus * units.HOURS_PER_MONTH
    # mean rate over 730 h
    answers_per_month = answers_per_s * units.SECONDS_PER_MONTH
    # hours the answers take
    gpu_hours_per_month_used = answers_per_month * gpu_seconds_per_answer / units.SECONDS_PER_HOUR
    # price of a GPU with what comes on top
    usd_per_hour = usd_per_gpu_hour * (1.0 + extra_share)
    # what the reserved fleet costs
    cost_usd_per_month = gpu_hours_per_month_reserved * usd_per_hour
    # reserved cost over answers
    cost_usd_per_answer = cost_usd_per_month / answers_per_month
    return Money(
        gpu_hours_per_month_reserved=np.asarray(gpu_hours_per_month_reserved),
        gpu_hours_per_month_used=np.asarray(gpu_hours_per_month_used),
        # used over reserved
        utilization=np.asarray(gpu_hours_per_month_used / gpu_hours_per_month_reserved),
        cost_usd_per_month=np.asarray(cost_usd_per_month),
        cost_usd_per_answer=np.asarray(cost_usd_per_answer),
        # GPU-seconds of the answer alone
        cost_usd_per_answer_used=np.asarray(gpu_seconds_per_answer / units.SECONDS_PER_HOUR * usd_per_hour),
        # one try
        cost_usd_per_correct_answer=np.asarray(cost_usd_per_answer / accuracy),
    )


def token_money(per_answer: Array, prefill_share: Array, input_tokens: Array, output_tokens: Array) -> TokenMoney:
    """Return what a million tokens cost: the reserved cost split by GPU-seconds, so that both parts add up to it.

    Parameters
    ----------
    per_answer : reserved cost of an answer [USD].
    prefill_share : share of the GPU-seconds that prefill takes [1].
    input_tokens, output_tokens : per answer; input includes cached ones [tokens].
    """
    return TokenMoney(
        # split by GPU-seconds
        cost_usd_per_mtok_input=np.asarray(per_answer * prefill_share / input_tokens * units.TOKENS_PER_MTOK),
        # split by GPU-seconds
        cost_usd_per_mtok_output=np.asarray(per_answer * (1.0 - prefill_share) / output_tokens * units.TOKENS_PER_MTOK),
    )


def api_bill(
    input_tokens: Array | float,
    cached_share: Array | float,
    output_tokens: Array | float,
    usd_per_mtok_input: Array | float,
    usd_per_mtok_cached_input: Array | float,
    usd_per_mtok_output: Array | float,
) -> Array:
    """Return what an API asks for tokens [USD].

    Parameters
    ----------
    input_tokens : all input tokens, cached ones included [tokens].
    cached_share : share of them read from the provider's cache, in 0..1 [1].
    output_tokens : all generated tokens, reasoning included: they are billed as output, once [tokens].
    usd_per_mtok_input, usd_per_mtok_cached_input, usd_per_mtok_output : prices [USD per million tokens].

    References
    ----------
    DeepSeek, open-infra-index, day 6: 342 B cached and 266 B other input tokens and 168 B output tokens at
    0.14, 0.55 and 2.19 USD per million come to 562,027 USD.
    """
    cached = np.asarray(input_tokens) * cached_share
    fresh = np.asarray(input_tokens) - cached
    dollars = (
        fresh * usd_per_mtok_input
        + cached * usd_per_mtok_cached_input
        + np.asarray(output_tokens) * usd_per_mtok_output
    )
    return np.asarray(dollars / units.TOKENS_PER_MTOK)


def billed_output(
    usd: Array | float,
    input_tokens: Array | float,
    cached_share: Array | float,
    usd_per_mtok_input: Array | float,
    usd_per_mtok_cached_input: Array | float,
    usd_per_mtok_output: Array | float,
) -> Array:
    """Return the output tokens behind an API's bill: the inverse of `api_bill` [tokens]; its parameters.

    Parameters
    ----------
    usd : the bill [USD].
    input_tokens, cached_share, usd_per_mtok_input, usd_per_mtok_cached_input, usd_per_mtok_output : as in `api_bill`.

    Returns
    -------
    Array
        Output tokens, reasoning included [tokens]; negative where the input alone costs more than the bill.
    """
    of_input = api_bill(input_tokens, cached_share, 0.0, usd_per_mtok_input, usd_per_mtok_cached_input, 0.0)
    return np.asarray((usd - of_input) * units.TOKENS_PER_MTOK / usd_per_mtok_output)
