"""Find the spec that a driver's product name means."""

from collections.abc import Iterator
from typing import NamedTuple

from planner.catalog.catalog import Catalog, normal
from planner.catalog.hardware import GpuSpec
from planner.documents.spec import Loaded
from planner.errors import nearest
from planner.probe.facts import GpuFacts

_BRANDS = ("nvidia", "tesla", "geforce", "quadro", "rtx")


class Match(NamedTuple):
    """A spec and how its name was found."""

    spec: Loaded[GpuSpec]
    how: str


def find_spec(gpu: GpuFacts, catalog: Catalog) -> Match | None:
    """Return the spec of a GPU, by the exact driver name or by another spelling; None where there is none.

    Of several specs with the same name, the one with the closest memory size is returned.
    """
    specs = [loaded for loaded in catalog.all(GpuSpec) if loaded.spec.vendor == "nvidia"]
    exact = [s for s in specs if gpu.name in s.spec.nvml_names]
    if exact:
        return Match(_nearest_memory(exact, gpu), "the driver's name")
    for form in _forms(gpu.name):
        found = [s for s in specs if form in {f for name in _spellings(s.spec) for f in _forms(name)}]
        if found:
            return Match(_nearest_memory(found, gpu), "another spelling of the name")
    return None


def nearest_specs(gpu: GpuFacts, catalog: Catalog) -> list[str]:
    """Return the ids of the three most similar specs, best first: names it starts with, then similar names."""
    wanted = _short(gpu.name)
    by_name = {_short(name): s.spec.id for s in catalog.all(GpuSpec) for name in _spellings(s.spec)}
    begins = sorted((n for n in by_name if wanted.startswith(n)), key=len, reverse=True)
    return list(dict.fromkeys(by_name[n] for n in (*begins, *nearest(wanted, by_name, count=6))))[:3]


def _spellings(spec: GpuSpec) -> tuple[str, ...]:
    return (*spec.nvml_names, spec.id, spec.name, *spec.aliases)


def _forms(name: str) -> Iterator[str]:
    """Yield the forms to compare a name by: without case and dashes, then also without brands in front."""
    form = normal(name)
    yield form
    for brand in _BRANDS[:-1]:
        form = form.removeprefix(brand)
    yield form


def _short(name: str) -> str:
    form = normal(name)
    for brand in _BRANDS:
        form = form.removeprefix(brand)
    return form or normal(name)


def _nearest_memory(specs: list[Loaded[GpuSpec]], gpu: GpuFacts) -> Loaded[GpuSpec]:
    total = gpu.memory_total_bytes
    if total is None:
        return specs[0]
    return min(specs, key=lambda s: abs((s.spec.memory_usable_bytes or s.spec.memory_bytes) - total))
