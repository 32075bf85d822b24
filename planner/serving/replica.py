"""From columns to one replica: its memory, the costs of its steps, its token demand."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner.serving import step
from planner.serving.attention import FLOP_PER_MAC, decode_attention_s, prefill_attention_s, prefill_chunk
from planner.serving.cases import Cases
from planner.serving.collectives import collectives
from planner.serving.columns import PauseColumns
from planner.serving.kv_cache import cache_bytes, held_bytes, state_bytes
from planner.serving.lengths import TokenDemand, token_demand
from planner.serving.memory import Memory, build_memory, running_limit
from planner.serving.model_columns import ModelColumns
from planner.serving.normal import Array
from planner.serving.roots import solve_increasing


@dataclass(frozen=True, eq=False)
class Replica:
    """One replica: what the steady state, the predictor and the simulator share."""

    tokens: TokenDemand
    memory: Memory
    costs: step.StepCosts
    gpus_per_replica: Array
    ranks: Array
    """Batches in flight: attention-data-parallel ranks x pipeline stages."""
    stages: Array
    token_budget: Array
    """Prefill tokens one step can carry."""
    decode_steps_per_answer: Array
    """Steps the sequences of one answer take together: sequences (E[G] - 1); prefill yields the first token."""
    prefill_tokens_per_decode: Array
    """Prefill tokens a step carries for each running sequence, so that both keep pace."""
    prefill_chunk: Array
    """Prefill tokens a step carries when it carries any: a mean prompt, at most the budget."""
    request_overhead_s: Array
    """Host time of one request."""
    prompt_overhead_s: Array
    """Host time of one prompt."""
    scheduling_steps: Array
    """Steps between arrival and first token beside the prompt's own."""
    prefill_first: Array
    """1 where prefill comes before any decode."""
    tokens_per_step: Array
    """Tokens a step yields a sequence: 1, more with speculative decoding."""
    draft_share: Array
    """Time of drafting over that of a step of decodes."""
    pause_s: Array
    """Time of an answer during which tools work."""


def build_replica(cases: Cases) -> Replica:
    """Return the replica of each case.

    Parameters
    ----------
    cases : all inputs, of the cases' shape (workload columns with a trailing axis of components).

    Returns
    -------
    Replica
        Arrays that broadcast to the cases' shape: tokens [tokens], memory [bytes], times [s]. A replica whose weights
        do not fit is built like any other; its `memory` says so.
    """
    tokens, layout, engine = token_demand(cases.workload), cases.layout, cases.engine
    # TP x PP x DP
    gpus_per_replica = layout.tensor_parallel * layout.pipeline_parallel * layout.data_parallel
    # batches in flight
    ranks = layout.data_parallel * layout.pipeline_parallel
    # drafts kept and one more; 1 without speculative decoding
    tokens_per_step = step.accepted_tokens(layout.draft_tokens, layout.acceptance)
    # time of drafting over a step of decodes: one layer a draft
    draft_share = layout.draft_tokens / cases.model.layers
    # prefill yields the first token
    decode_tokens = tokens.sequences_per_answer * np.maximum(tokens.generated_tokens_mean - 1.0, _SHORTEST_DECODE)
    # steps the sequences of an answer take together
    decode_steps_per_answer = decode_tokens / tokens_per_step
    # so that prefill keeps pace with decode
    prefill_tokens_per_decode = tokens.prefill_tokens_per_answer / decode_steps_per_answer
    replica = Replica(
        tokens=tokens,
        memory=build_memory(cases, tokens),
        costs=step_costs(cases, tokens),
        gpus_per_replica=np.asarray(gpus_per_replica),
        ranks=np.asarray(ranks),
        stages=layout.pipeline_parallel,
        token_budget=engine.max_batched_tokens,
        decode_steps_per_answer=np.asarray(decode_steps_per_answer),
        prefill_tokens_per_decode=np.asarray(prefill_tokens_per_decode),
        prefill_chunk=prefill_chunk(cases, tokens),
        request_overhead_s=engine.request_overhead_s,
        prompt_overhead_s=engine.prompt_overhead_s,
        scheduling_steps=engine.scheduling_steps,
        prefill_first=engine.prefill_first,
        tokens_per_step=tokens_per_step,
        draft_share=np.asarray(draft_share),
        pause_s=np.zeros(()) if cases.pauses is None else cases.pauses.pause_s,
    )
    if cases.pauses is None:
        return replica
    return dataclasses.replace(replica, memory=_memory_beside_pauses(cases, replica, cases.pauses))


_SHORTEST_DECODE = 1e-6
"""An answer of one token has no decode step; this keeps its running batch above zero."""


def average_step(replica: Replica, running: Array) -> tuple[Array, Array, Array]:
    """Return what the average step of a replica carries and takes.

    Parameters
    ----------
    replica : one replica of each case.
    running : sequences in the running batch, over all ranks [1].

    Returns
    -------
    tuple[Array, Array, Array]
        Prefill tokens of a step of a rank [tokens], the step with its drafting and the step without prefill [s].
    """
    sequences = running / replica.ranks
    prefill = sequences * replica.prefill_tokens_per_decode
    step_s, alone_s = step.mean_step_s(replica.costs, sequences, prefill, replica.prefill_chunk)
    return prefill, step_s + replica.draft_share * alone_s, alone_s


def _memory_beside_pauses(cases: Cases, replica: Replica, pauses: PauseColumns) -> Memory:
    """Return the memory of a replica whose cache also holds conversations that wait for a tool.

    At a rate lambda, lambda T conversations wait (Little's law), so the batch B that fits leaves room for them:
    B mu + z sqrt(B) sigma = K - K' - lambda(B) T held / DP, K' the cache common to all. More batch is more rate and
    less room: one solution.
    """
    memory, ranks = replica.memory, cases.layout.data_parallel
    held = held_bytes(cases, pauses.held_tokens)
    bytes_seconds = pauses.held_pause_s * held / cases.layout.pipeline_parallel / ranks

    def answers_per_s(running: Array, replica: Replica) -> Array:
        return np.asarray(running / (replica.decode_steps_per_answer * average_step(replica, running)[1]))

    def excess(log_running: Array, inputs: tuple[Replica, Array, Array, Array]) -> Array:
        replica, bytes_seconds, ranks, z = inputs
        memory = replica.memory
        room = (
            memory.kv_capacity_bytes - memory.common_bytes - answers_per_s(np.exp(log_running), replica) * bytes_seconds
        )
        fitting = running_limit(room, memory.kv_bytes_per_sequence, memory.kv_bytes_per_sequence_sd, z) * ranks
        return np.asarray(log_running - np.log(np.maximum(fitting, _NOTHING)))

    top = np.log(np.maximum(memory.sequences_that_fit, _NOTHING))
    inputs = (replica, bytes_seconds, ranks, cases.engine.kv_overflow_z)
    running = np.exp(solve_increasing(excess, top - _WIDEST, top, inputs))
    return build_memory(cases, replica.tokens, np.asarray(answers_per_s(running, replica) * bytes_seconds))


_NOTHING, _WIDEST = 1e-12, 30.0
"""Sequences that are none, and how far below those that fit without pauses the solver looks, in logarithms."""


def prompt_transfer_s(prefill: Cases, decode: Cases, prefill_replicas: Array, decode_replicas: Array) -> Array:
    """Return the time the KV cache of a mean prompt takes from a prefill replica to a decode replica.

    Shared tokens are there already. All GPUs of the smaller replica send or receive their part at once: over the links
    where both pools stand in one scale-up domain, else over the network.

    Parameters
    ----------
    prefill, decode : cases with the layout of a prefill replica, of a decode replica.
    prefill_replicas, decode_replicas : replicas of each pool [1].

    Returns
    -------
    Array
        Time from the last byte written by prefill to the last byte there [s].
    """
    w, g, e = prefill.workload, prefill.gpu, prefill.engine
    prompt = np.sum(w.share * (w.input_tokens_mean - w.shared_tokens), axis=-1)
    sizes = [c.layout.tensor_parallel * c.layout.pipeline_parallel * c.layout.data_parallel for c in (prefill, decode)]
    in_one_domain = sizes[0] * prefill_replicas + sizes[1] * decode_replicas <= g.scale_up_domain_gpus
    rate = np.where(in_one_domain, g.link_bytes_per_s * e.link_efficiency, g.network_bytes_per_s * e.network_efficiency)
    one_gpu = dataclasses.replace(prefill.layout, tensor_parallel=np.ones_like(prompt))
    senders = np.minimum(prefill.layout.tensor_parallel, decode.layout.tensor_parallel)
    whole = dataclasses.replace(prefill, layout=one_gpu)
    sent = cache_bytes(whole, prompt, np.minimum(prompt, whole.model.window_tokens), prompt) + state_bytes(whole)
    return np.asarray(sent / (senders * rate))


def dense_weight_bytes(model: ModelColumns) -> Array:
    """Return the bytes of the weights that every step reads [bytes]: token mixers, dense blocks, output head."""
    return np.asarray(
        model.attention_parameters * model.attention_weight_bytes
        + model.ffn_parameters * model.ffn_weight_bytes
        + model.head_parameters * model.embedding_weight_bytes
    )


def step_costs(cases: Cases, tokens: TokenDemand) -> step.StepCosts:
    """Return the coefficients of the step time: all of it that depends neither on the batch nor on the prefill.

    Parameters
    ----------
    cases : all inputs.
    tokens : token demand of the same cases.

    Returns
    -------
    StepCosts
        Times [s] on one data-parallel rank through all its pipeline stages, hence no division by PP: a token passes
        every stage. docs/method.md, "One step", has the terms.
    """
    m, g, e, layout = cases.model, cases.gpu, cases.engine, cases.layout
    tp, dp = layout.tensor_parallel, layout.data_parallel
    flop = FLOP_PER_MAC / e.compute_efficiency
    # what every step streams
    dense_bytes = dense_weight_bytes(m)
    # a token and those drafted
    verified_tokens = 1.0 + layout.draft_tokens
    # weights over the rate of each
    dense_flop = m.attention_parameters / g.attention_flop_per_s + m.ffn_parameters / g.ffn_flop_per_s
    # share of the experts a token goes to
    routed = m.experts_per_token / m.experts
    # work of the busiest GPU over the mean
    imbalance = np.where(layout.expert_parallel > 1.0, e.expert_imbalance, 1.0)
    exchange = collectives(m, layout, g, e)
    decode_memory_s, product_s = decode_attention_s(cases, tokens)
    # of every token that is verified
    decode_products_s = product_s * verified_tokens
    prefill_memory_s, prefill_products_s = prefill_attention_s(cases, tokens)
    expert_bytes = m.expert_parameters * m.expert_weight_bytes / (tp * dp)
    # channels of an expert on one GPU
    expert_slice_width = m.expert_width * layout.expert_parallel / (tp * dp)
    # A grouped product over a narrow slice of an expert does not fill the GPU: at the half width it runs at half speed.
    expert_flop = flop * m.expert_parameters * routed / tp * (1.0 + e.expert_half_width / expert_slice_width)
    return step.StepCosts(
        # bytes over bandwidth
        dense_memory_s=np.asarray(dense_bytes / tp / (g.hbm_bytes_per_s * e.memory_efficiency)),
        # 2 FLOP a weight
        dense_compute_s_per_token=np.asarray(flop * dense_flop / tp),
        # tokens a step computes for a sequence
        tokens_per_sequence=np.asarray(verified_tokens),
        # output head
        head_compute_s_per_sequence=np.asarray(
            flop * m.head_parameters / g.attention_flop_per_s / tp * verified_tokens
        ),
        # all routed experts of a GPU
        expert_memory_s=np.asarray(expert_bytes / (g.hbm_bytes_per_s * e.expert_memory_efficiency)),
        # active experts
        expert_compute_s_per_token=np.asarray(expert_flop / g.expert_flop_per_s * imbalance),
        # logarithm of the probability that a token of the rank leaves an expert untouched
        expert_miss_log_per_token=np.asarray(dp * np.log1p(-np.minimum(routed, _ALMOST_ONE))),
        # one sequence reads its cache and multiplies by it
        decode_attention_s_per_sequence=step.overlapped(decode_memory_s, decode_products_s, e.overlap_exponent),
        decode_memory_s_per_sequence=decode_memory_s,
        decode_products_s_per_sequence=decode_products_s,
        # a prompt token attends to what stands before it
        prefill_attention_s_per_token=step.overlapped(prefill_memory_s, prefill_products_s, e.overlap_exponent),
        prefill_memory_s_per_token=prefill_memory_s,
        prefill_products_s_per_token=prefill_products_s,
        # start-up of all collectives
        collective_s=exchange.start_s,
        # payload of a token over the rates
        collective_s_per_token=exchange.s_per_token,
        # layers and host
        overhead_s=np.asarray(e.layer_equivalents * e.layer_overhead_s + e.step_overhead_s),
        # sampling and detokenising
        overhead_s_per_sequence=e.sequence_overhead_s,
        overlap_exponent=e.overlap_exponent,
    )


_ALMOST_ONE = 1.0 - 1e-12
"""A model whose every expert works on every token (or a dense one) touches them all."""
