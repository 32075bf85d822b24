"""A performance backend without a model: the throughput of one node as somebody measured it.

Nodes = tokens per second / measured rate of a node, for prefill and decode apart (rates of
disaggregated phases are never added up). Where only token volumes are known, per-answer results stay empty.
"""

from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array


@dataclass(frozen=True, eq=False)
class MeasuredLoad:
    """Token volume and the measured rates of one node that serve it."""

    input_tokens_per_s: Array
    """Mean rate, cached tokens included [tokens/s]."""
    output_tokens_per_s: Array
    input_tokens_per_s_per_node: Array
    output_tokens_per_s_per_node: Array


def phase_nodes(load: MeasuredLoad) -> tuple[Array, Array]:
    """Return (prefill nodes, decode nodes), fractional.

    Examples
    --------
    DeepSeek's day of 2025-02-27: 608 B and 168 B tokens at 73.7k and 14.8k tokens/s per node.

    >>> day = 86400.0
    >>> prefill, decode = phase_nodes(MeasuredLoad(608e9 / day, 168e9 / day, 73.7e3, 14.8e3))
    >>> round(float(prefill), 1), round(float(decode), 1)
    (95.5, 131.4)
    """
    prefill = load.input_tokens_per_s / load.input_tokens_per_s_per_node
    decode = load.output_tokens_per_s / load.output_tokens_per_s_per_node
    return np.asarray(prefill), np.asarray(decode)
