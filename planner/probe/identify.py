"""Which spec a driver's product name means."""

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
    """Return the spec of a GPU: by the driver's name to the letter, then by other spellings.

    Where several specs carry the name, the one with the nearest memory wins.
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
    """Return the ids whose names look most like a GPU's, best first: those it starts with, then the similar ones."""
    wanted = _short(gpu.name)
    by_name = {_short(name): s.spec.id for s in catalog.all(GpuSpec) for name in _spellings(s.spec)}
    begins = sorted((n for n in by_name if wanted.startswith(n)), key=len, reverse=True)
    return list(dict.fromkeys(by_name[n] for n in (*begins, *nearest(wanted, by_name, count=6))))[:3]


def _spellings(spec: GpuSpec) -> tuple[str, ...]:
    return (*spec.nvml_names, spec.id, spec.name, *spec.aliases)


def _forms(name: str) -> Iterator[str]:
    """Yield the ways to compare a name: without case and dashes, then without the maker's brands in front."""
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
