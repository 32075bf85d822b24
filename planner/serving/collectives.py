"""Communication inside one engine step: all-reduces, the exchange of experts' tokens, hand-overs between stages."""

from dataclasses import dataclass

import numpy as np

from planner.serving.memory import BYTES_PER_ACTIVATION
from planner.serving.normal import Array

COLLECTIVES_PER_LAYER = 2.0
"""All-reduce after the token mixer and after the feed-forward block; dispatch and combine of experts."""
_ALMOST_ALL = 1.0 - 1e-12


def all_reduce_s_per_byte(group: Array, domain: Array, link_bytes_per_s: Array, network_bytes_per_s: Array) -> Array:
    """Return the time a ring all-reduce takes per byte of payload [s/byte], hierarchical beyond the scale-up domain.

    2 (d - 1)/d / link inside the domain of d GPUs, then 2 (n - 1)/n / (d network) between n domains.
    """
    d = np.minimum(group, domain)
    n = group / d
    inside = 2.0 * (d - 1.0) / d / link_bytes_per_s
    return np.asarray(inside + 2.0 * (n - 1.0) / n / (d * network_bytes_per_s))


def all_gather_s_per_byte(group: Array, domain: Array, link_bytes_per_s: Array, network_bytes_per_s: Array) -> Array:
    """Return the time to send a byte evenly over all other GPUs [s/byte]; what leaves the domain uses the network."""
    d = np.minimum(group, domain)
    others = np.maximum(group - 1.0, 1.0)
    return np.asarray((d - 1.0) / others / link_bytes_per_s + (group - d) / others / network_bytes_per_s)


def others_reached(places: Array, draws: Array) -> Array:
    """Return how many of the other places k uniform draws reach, (n - 1)(1 - (1 - 1/n)^k).

    >>> round(float(others_reached(np.array(4.0), np.array(8.0))), 3)
    2.7
    """
    return np.asarray((places - 1.0) * -np.expm1(draws * np.log1p(-np.minimum(1.0 / places, _ALMOST_ALL))))


def all_to_all_s_per_byte(
    group: Array, domain: Array, copies: Array, link_bytes_per_s: Array, network_bytes_per_s: Array
) -> Array:
    """Return the time an all-to-all takes per byte of a token that goes to `copies` experts [s/byte].

    A GPU gets a token once, however many of its experts want it; another domain gets it once over the network and
    passes it on over its links (as DeepEP does).
    """
    domains = np.maximum(group / domain, 1.0)
    inside, between = others_reached(group, copies), others_reached(domains, copies)
    return np.asarray(inside / link_bytes_per_s + between / network_bytes_per_s)


@dataclass(frozen=True, eq=False)
class Collectives:
    """Communication of one step."""

    start_s: Array
    s_per_token: Array


def collectives(
    layers: Array,
    moe_layers: Array,
    hidden_size: Array,
    experts_per_token: Array,
    tensor: Array,
    pipeline: Array,
    data: Array,
    expert: Array,
    domain: Array,
    link: Array,
    network: Array,
    latency_s: Array,
    network_latency_s: Array,
) -> Collectives:
    """Return start-up and per-token time of all collectives of one step of one rank.

    TP: two all-reduces a layer. Attention-DP: experts are reached by all-to-all (EP) or all-gather +
    reduce-scatter (sliced experts). PP: one hand-over between stages.
    """
    payload = hidden_size * BYTES_PER_ACTIVATION
    group = tensor * data
    reduce_count = np.where(tensor > 1.0, COLLECTIVES_PER_LAYER * layers, 0.0)
    exchange_count = np.where(data > 1.0, COLLECTIVES_PER_LAYER * moe_layers, 0.0)
    hand_overs = pipeline - 1.0
    reduce_latency = np.where(tensor > domain, network_latency_s, latency_s)
    exchange_latency = np.where(group > domain, network_latency_s, latency_s)
    hand_over_latency = np.where(group * pipeline > domain, network_latency_s, latency_s)
    hand_over_rate = np.where(group * pipeline > domain, network, link)
    exchange = np.where(
        expert > 1.0,
        all_to_all_s_per_byte(group, domain, experts_per_token, link, network) / tensor,
        (data - 1.0) * all_gather_s_per_byte(group, domain, link, network),
    )
    per_token = (
        reduce_count * payload * all_reduce_s_per_byte(tensor, domain, link, network)
        + exchange_count * payload * exchange
        + hand_overs * payload / tensor / hand_over_rate
    )
    start = reduce_count * reduce_latency + exchange_count * exchange_latency + hand_overs * hand_over_latency
    return Collectives(np.asarray(start), np.asarray(per_token))
