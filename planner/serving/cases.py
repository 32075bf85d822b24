"""Cases: a struct of arrays, one field per input quantity; shapes broadcast, so a point is a case of shape ()."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.serving.columns import (
    Columns,
    CurveColumns,
    DemandColumns,
    EnergyColumns,
    EngineColumns,
    FleetColumns,
    GpuColumns,
    LayoutColumns,
    OfferColumns,
    PauseColumns,
    QualityColumns,
    SloColumns,
    WorkloadColumns,
)
from planner.serving.model_columns import ModelColumns
from planner.serving.normal import Array


def ignoring_float_errors() -> np.errstate:
    """Return the context in which cases that cannot work become NaN without a warning."""
    return np.errstate(all="ignore")


TRAILING = frozenset({"workload", "curve"})
"""Groups whose columns have a trailing axis: of mixture components, of hours."""


@dataclass(frozen=True, eq=False)
class Cases:
    """All inputs of `estimate`: groups of columns that broadcast to one shape."""

    model: ModelColumns
    gpu: GpuColumns
    engine: EngineColumns
    layout: LayoutColumns
    workload: WorkloadColumns
    demand: DemandColumns
    slo: SloColumns
    fleet: FleetColumns
    offer: OfferColumns
    energy: EnergyColumns
    quality: QualityColumns
    prefill_layout: LayoutColumns | None = None
    """Of the replicas of a prefill pool, where those of `layout` only decode; NaN in cases with one pool. None: no case
    has two pools."""
    pauses: PauseColumns | None = None
    """None: no case has tools that take time."""
    curve: CurveColumns | None = None
    """None: the demand of every hour is the mean."""

    def groups(self) -> Iterator[tuple[str, Columns]]:
        """Yield (name, group), of those that are there."""
        for field in dataclasses.fields(self):
            group = getattr(self, field.name)
            if group is not None:
                yield field.name, group

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape all columns broadcast to (without trailing axes of components and hours)."""
        shapes = [
            np.shape(column)[:-1] if name in TRAILING else np.shape(column)
            for name, group in self.groups()
            for _, column in group.items()
        ]
        return np.broadcast_shapes(*shapes)

    def replaced(self, **columns: Any) -> Cases:  # noqa: ANN401 - arrays or floats
        """Return cases with some columns replaced: `replaced(demand__answers_per_s=np.geomspace(1, 100, 9))`.

        A workload column takes a trailing component axis: `workload__reasoning_multiplier=m[:, None]`.
        """
        changes: dict[str, dict[str, Array]] = {}
        for path, column in columns.items():
            group, _, name = path.partition("__")
            changes.setdefault(group, {})[name] = np.asarray(column, dtype=np.float64)
        groups = {name: dataclasses.replace(getattr(self, name), **fields) for name, fields in changes.items()}
        return dataclasses.replace(self, **groups)

    def rows(self, part: slice | NDArray[np.intp], axis: int = 0) -> Cases:
        """Return a part of an axis; columns that do not vary along it stay as they are."""
        size = self.shape[axis]

        def cut(ndim: int, column: Any) -> Any:  # noqa: ANN401 - arrays or floats
            position = axis - (ndim - np.ndim(column))
            varies = position >= 0 and np.shape(column)[position] == size > 1
            return column[(slice(None),) * position + (part,)] if varies else column

        return self._changed(cut)

    def flat(self) -> Cases:
        """Return cases with one axis."""
        shape = self.shape

        def laid_flat(ndim: int, column: Any) -> Any:  # noqa: ANN401 - arrays or floats
            components = np.shape(column)[-1:] if ndim > len(shape) else ()
            return np.broadcast_to(column, shape + components).reshape(-1, *components)

        return self._changed(laid_flat)

    def rows_of_one(self) -> Cases:
        """Return cases of shape () from cases of one row."""
        return self._changed(lambda ndim, column: column[0] if np.ndim(column) == ndim else column, axes=1)

    def _changed(self, change: Callable[[int, Any], Any], axes: int | None = None) -> Cases:
        """Return cases with each column changed; `change` gets the axes it has when it varies fully, and it."""
        axes = len(self.shape) if axes is None else axes
        groups: dict[str, Any] = {
            name: group.map(partial(change, axes + (name in TRAILING))) for name, group in self.groups()
        }
        return Cases(**groups)
