"""Names of models, GPUs, engines and formats, each looked up once for all rows that share them."""

from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, FormatSpec, GpuSpec, SystemSpec
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded
from planner.errors import PlannerError
from planner.options.candidates import Precision, named_precision

T = TypeVar("T")


class Memo(Generic[T]):
    """A look-up that is made once for the same names; its error is kept and raised again."""

    def __init__(self, look_up: Callable[..., T]) -> None:
        @cache
        def kept(*names: str) -> T | PlannerError:
            try:
                return look_up(*names)
            except PlannerError as error:
                return error

        self._kept = kept

    def __call__(self, *names: str) -> T:
        """Return what the names mean. Raises the look-up's PlannerError."""
        found = self._kept(*names)
        if isinstance(found, PlannerError):
            raise found.with_traceback(None)
        return found


class Names:
    """The look-ups of one call, kept only for it: a catalogue lists its folders anew, as files may have come."""

    def __init__(self, catalog: Catalog) -> None:
        def system_of(gpu: str) -> Loaded[SystemSpec] | None:
            return next((s for s in catalog.all(SystemSpec) if s.spec.gpu == gpu), None)

        def precision_of(name: str, model: str) -> Precision:
            return named_precision(name, catalog, self.model(model).spec)

        def format_of(name: str) -> FormatSpec:
            return catalog.format(name)[1]

        self.model: Memo[Loaded[ModelSpec]] = Memo(lambda name: catalog.get(ModelSpec, name))
        self.gpu: Memo[Loaded[GpuSpec]] = Memo(lambda name: catalog.get(GpuSpec, name))
        self.engine: Memo[Loaded[EngineSpec]] = Memo(lambda name: catalog.get(EngineSpec, name))
        self.system = Memo(system_of)
        """By the id of its GPU."""
        self.precision = Memo(precision_of)
        """By its name and the model's."""
        self.format = Memo(format_of)
