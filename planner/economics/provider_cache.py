"""What a provider's prefix cache finds of an API's input."""

import dataclasses

import numpy as np

from planner.options.answer import Answer
from planner.options.lowering_workload import lower_workload
from planner.scenario.workload import Agent, WorkloadSpec
from planner.serving.replica import build_replica


def provider_cached_share(solved: Answer) -> float:
    """Return the share of the input tokens that a provider's prefix cache finds, where nobody says it [1].

    The scenario's own share; of an agent what a turn finds of the last one, whether one's own engine keeps its cache
    while tools work or frees it: that is no decision of the provider's.
    """
    spec = solved.scenario.spec
    held = spec.model_copy(update={"workload": _held(spec.workload)})
    workload = lower_workload(held, solved.model.spec, solved.scenario.loaded.document.place)
    return float(np.max(build_replica(dataclasses.replace(solved.case(), workload=workload)).tokens.found_share))


def _held(workload: WorkloadSpec) -> WorkloadSpec:
    """Return a workload whose agents find the context of their last turn again, those of classes too."""

    def kept(agent: Agent | None) -> Agent | None:
        return agent and agent.model_copy(update={"kv_cache": "held"})

    classes = tuple(c.model_copy(update={"agent": kept(c.agent)}) for c in workload.classes)
    return workload.model_copy(update={"agent": kept(workload.agent), "classes": classes})
