"""Settings of a serving engine: those a user gives, over those of its release."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from planner.catalog.hardware import EngineLimits, EngineSpec
from planner.documents.spec import Count, Share, Spec


class EngineSettings(Spec):
    """Settings of a serving engine under vLLM's names; empty ones are the engine's own."""

    gpu_memory_utilization: Share | None = None
    """Share of the memory that the engine takes; the engine's file says of which."""
    max_num_seqs: Count | None = None
    """Sequences in the running batch of a data-parallel rank."""
    max_num_batched_tokens: Count | None = None
    """Token budget of one step of a rank."""
    max_model_len: Count | None = None
    """Longest request that the engine accepts, prompt and answer [tokens]; the model's own length where absent."""

    @model_validator(mode="before")
    @classmethod
    def _has_its_place(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a file has there
        for name, field in _ELSEWHERE.items():
            if isinstance(data, Mapping) and name in data:
                raise ValueError(f"{name} is {field} in a scenario")
        return data


_ELSEWHERE = {
    "kv_cache_dtype": "fleet.kv_precision",
    "quantization": "fleet.precisions",
    "tensor_parallel_size": "fleet.tensor_parallel",
    "num_speculative_tokens": "fleet.speculative_tokens",
}
"""Arguments of vLLM that are fields of their own."""


def release_key(version: str) -> tuple[int, ...]:
    """Return a key that sorts releases by age; what follows the numbers (rc1, +cu130) does not count.

    >>> release_key("0.9.2") < release_key("0.11") < release_key("0.26.1rc1")
    True
    """
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def configured(engine: EngineSpec, version: str | None, settings: EngineSettings) -> EngineSpec:
    """Return an engine as a release of it has its factors, with settings in place of its defaults.

    Parameters
    ----------
    engine : factors of its newest release, and what differed before.
    version : the release; None is the newest.
    settings : what the user gives.
    """
    changes: dict[str, object] = {}
    if version is not None:
        older = sorted(engine.older_releases, key=lambda release: release_key(release.before), reverse=True)
        for release in older:
            if release_key(version) < release_key(release.before):
                changes |= {name: v for name, v in release if v is not None and name != "before"}
    if settings.gpu_memory_utilization is not None:
        changes |= dict.fromkeys(_LEFT_FREE, 0.0) | {"memory_utilization": settings.gpu_memory_utilization}
    factors = engine.factors.model_copy(update=changes)
    if settings.max_num_seqs is not None or settings.max_num_batched_tokens is not None:
        changes["limits"] = tuple(_limits(one, settings, engine) for one in factors.limits)
    if not changes:
        return engine
    return engine.model_copy(update={"factors": engine.factors.model_copy(update=changes)})


_LEFT_FREE = ("left_free_bytes", "left_free_bytes_per_batched_token", "left_free_bytes_per_gpu")
"""What an engine leaves free by default, in place of a share."""


def _limits(limits: EngineLimits, settings: EngineSettings, engine: EngineSpec) -> EngineLimits:
    """Return limits with settings in their place; a default batch shrinks to a budget that must hold it."""
    sequences, tokens = settings.max_num_seqs, settings.max_num_batched_tokens
    if engine.budget_holds_sequences and sequences is None and tokens is not None:
        sequences = min(limits.max_running_sequences, tokens)
    changes = {"max_running_sequences": sequences, "max_batched_tokens": tokens}
    return limits.model_copy(update={name: value for name, value in changes.items() if value is not None})
