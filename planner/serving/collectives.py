"""Communication inside one engine step: all-reduces, the exchange of experts' tokens, hand-overs between stages.

A group of g GPUs stands in one or more scale-up domains (NVLink, say) of at most `domain` GPUs; inside a domain bytes
go over links, between domains over the network. Rates are of one GPU and one way.
"""

from dataclasses import dataclass

import numpy as np

from planner.serving.columns import EngineColumns, GpuColumns, LayoutColumns
from planner.serving.memory import BYTES_PER_ACTIVATION
from planner.serving.model_columns import ModelColumns
from planner.serving.normal import Array

COLLECTIVES_PER_LAYER = 2.0
"""All-reduce after the token mixer and after the feed-forward block; dispatch and combine of experts."""
_ALMOST_ALL = 1.0 - 1e-12
"""Keeps log(1 - 1/n) finite where there is only one place."""


def all_reduce_s_per_byte(group: Array, domain: Array, link_bytes_per_s: Array, network_bytes_per_s: Array) -> Array:
    """Return the time of a ring all-reduce per byte of payload, hierarchical beyond the scale-up domain.

    2 (d - 1)/d / link inside the domain of d GPUs, then 2 (n - 1)/n / (d network) between n = g/d domains.

    Parameters
    ----------
    group : GPUs that hold a copy of the payload [1], >= 1.
    domain : GPUs of a scale-up domain [1].
    link_bytes_per_s, network_bytes_per_s : rates of one GPU, one way [bytes/s].

    Returns
    -------
    Array
        Time over payload [s/byte]; 0 for one GPU.

    References
    ----------
    P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", Journal of Parallel
    and Distributed Computing 69 (2009) 117-124: a ring moves 2 (g - 1)/g of the payload over each link.
    """
    # GPUs of the ring inside the domain
    reduce_domain = np.minimum(group, domain)
    # domains the group spans
    reduce_nodes = group / reduce_domain
    return np.asarray(
        2.0 * (reduce_domain - 1.0) / reduce_domain / link_bytes_per_s
        + 2.0 * (reduce_nodes - 1.0) / reduce_nodes / (reduce_domain * network_bytes_per_s)
    )


def all_gather_s_per_byte(group: Array, domain: Array, link_bytes_per_s: Array, network_bytes_per_s: Array) -> Array:
    """Return the time to send a byte evenly over all other GPUs; what leaves the domain uses the network.

    (d - 1)/(g - 1)/link + (g - d)/(g - 1)/network, d = min(g, domain).

    Parameters
    ----------
    group, domain, link_bytes_per_s, network_bytes_per_s : as in `all_reduce_s_per_byte`.

    Returns
    -------
    Array
        Time over what a GPU sends [s/byte]; 0 for one GPU.
    """
    # GPUs of the group inside the domain
    exchange_domain = np.minimum(group, domain)
    # the other GPUs of the group
    exchange_others = np.maximum(group - 1.0, 1.0)
    return np.asarray(
        (exchange_domain - 1.0) / exchange_others / link_bytes_per_s
        + (group - exchange_domain) / exchange_others / network_bytes_per_s
    )


def others_reached(places: Array, draws: Array) -> Array:
    """Return how many of the other places k uniform draws reach, (n - 1)(1 - (1 - 1/n)^k).

    Parameters
    ----------
    places : places n, one's own among them [1], >= 1.
    draws : independent uniform draws k [1].

    Returns
    -------
    Array
        Expected number of other places that are drawn at least once [1].

    Examples
    --------
    >>> round(float(others_reached(np.array(4.0), np.array(8.0))), 3)
    2.7
    """
    return np.asarray((places - 1.0) * -np.expm1(draws * np.log1p(-np.minimum(1.0 / places, _ALMOST_ALL))))


def all_to_all_s_per_byte(
    group: Array, domain: Array, copies: Array, link_bytes_per_s: Array, network_bytes_per_s: Array
) -> Array:
    """Return the time of an all-to-all per byte of a token that goes to several experts.

    A GPU gets a token once, however many of its experts want it; another domain gets it once over the network and
    passes it on over its links (as DeepEP does): o(g)/link + o(g/domain)/network, o as in `others_reached`.

    Parameters
    ----------
    group, domain, link_bytes_per_s, network_bytes_per_s : as in `all_reduce_s_per_byte`.
    copies : experts a token goes to [1].

    Returns
    -------
    Array
        Time over the bytes of a token [s/byte]; 0 for one GPU.
    """
    # domains the group spans
    exchange_domains = np.maximum(group / domain, 1.0)
    # other GPUs a token goes to, once each
    exchange_ranks = others_reached(group, copies)
    # other domains a token goes to, once each
    exchange_nodes = others_reached(exchange_domains, copies)
    return np.asarray(exchange_ranks / link_bytes_per_s + exchange_nodes / network_bytes_per_s)


@dataclass(frozen=True, eq=False)
class Collectives:
    """Communication of one step of one data-parallel rank."""

    start_s: Array
    """Start-up of all collectives [s]."""
    s_per_token: Array
    """What a token of the rank adds [s]."""


def collectives(model: ModelColumns, layout: LayoutColumns, gpu: GpuColumns, engine: EngineColumns) -> Collectives:
    """Return start-up and per-token time of all collectives of one step of one rank.

    TP: two all-reduces a layer. Attention-DP: two exchanges in each layer with experts, by all-to-all (EP) or by
    all-gather and reduce-scatter (sliced experts). PP: one hand-over between stages. A collective whose group exceeds
    the scale-up domain starts with the network's latency.

    Parameters
    ----------
    model : layers and layers with experts [1], hidden size [elements], experts of a token [1].
    layout : degrees of TP, PP, DP and EP [GPUs].
    gpu, engine : rates [bytes/s] and the engine's shares of them [1], latencies [s].

    Returns
    -------
    Collectives
        Times of the broadcast shape of all columns; 0 on a single GPU.
    """
    tensor, pipeline, data = layout.tensor_parallel, layout.pipeline_parallel, layout.data_parallel
    link_rate = gpu.link_bytes_per_s * engine.link_efficiency
    network_rate = gpu.network_bytes_per_s * engine.network_efficiency
    domain, payload_bytes = gpu.scale_up_domain_gpus, model.hidden_size * BYTES_PER_ACTIVATION
    # GPUs that exchange
    exchange_group = tensor * data
    # two a layer under tensor parallelism
    all_reduces = np.where(tensor > 1.0, COLLECTIVES_PER_LAYER * model.layers, 0.0)
    # dispatch and combine of each MoE layer
    exchanges = np.where(data > 1.0, COLLECTIVES_PER_LAYER * model.moe_layers, 0.0)
    # ring inside the scale-up domain, then between the domains
    reduce_s_per_byte = all_reduce_s_per_byte(tensor, domain, link_rate, network_rate)
    # to every rank
    gather_s_per_byte = all_gather_s_per_byte(exchange_group, domain, link_rate, network_rate)
    # to the experts' GPUs
    scatter_s_per_byte = all_to_all_s_per_byte(exchange_group, domain, model.experts_per_token, link_rate, network_rate)
    # The ranks of a TP group hold the same token, so each sends a part of it to the experts' GPUs.
    exchange_s_per_byte = np.where(
        layout.expert_parallel > 1.0, scatter_s_per_byte / tensor, (data - 1.0) * gather_s_per_byte
    )
    hand_over_rate = np.where(exchange_group * pipeline > domain, network_rate, link_rate)
    return Collectives(
        # start-up of each collective
        start_s=np.asarray(
            all_reduces * start_up_s(tensor, gpu, engine)
            + exchanges * start_up_s(exchange_group, gpu, engine)
            + (pipeline - 1.0) * start_up_s(exchange_group * pipeline, gpu, engine)
        ),
        # all-reduces, exchanges and hand-overs between stages
        s_per_token=np.asarray(
            all_reduces * payload_bytes * reduce_s_per_byte
            + exchanges * payload_bytes * exchange_s_per_byte
            + (pipeline - 1.0) * payload_bytes / tensor / hand_over_rate
        ),
    )


def start_up_s(gpus: Array, gpu: GpuColumns, engine: EngineColumns) -> Array:
    """Return the start-up of a collective of some GPUs [s]: over the network where they exceed the scale-up domain."""
    return np.where(gpus > gpu.scale_up_domain_gpus, engine.network_latency_s, engine.collective_latency_s)
