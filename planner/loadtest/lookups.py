"""Names of models, GPUs, engines and formats, each looked up once for all rows that share them."""

from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

from planner.catalog.catalog import Catalog
from planner.catalog.engine_settings import EngineSettings, configured
from planner.catalog.hardware import EngineSpec, FormatSpec, GpuSpec, SystemSpec
from planner.catalog.model import ModelSpec
from planner.catalog.open_named import open_model
from planner.catalog.support import SupportSpec
from planner.documents.spec import Loaded
from planner.errors import BadInputError, PlannerError
from planner.options.candidates import Machine, Precision, named_precision
from planner.options.startup import as_run, support_of

SETTINGS = tuple(name for name in EngineSettings.model_fields if name != "max_model_len")
"""Settings of an engine that its factors hold."""

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

        def machine_of(gpu: str, engine: str, version: str, *settings: str) -> Machine:
            base, accelerator = self.engine(engine), self.gpu(gpu)
            support = self.support(engine)
            release = support.nearest(version) if support and version else support.newest if support else None
            given = {name: float(text) for name, text in zip(SETTINGS, settings, strict=True) if text}
            shares = {"gpu_memory_utilization"}
            chosen = EngineSettings.model_validate({n: v if n in shares else int(v) for n, v in given.items()})
            configured_engine = Loaded(configured(base.spec, release, chosen), base.document)
            return Machine(accelerator, self.system(accelerator.spec.id), configured_engine, support, release)

        def model_of(name: str, longest: str) -> ModelSpec:
            spec = self.model(name).spec
            if longest and float(longest) > spec.max_context_tokens:
                own = f"{spec.max_context_tokens:,} tokens"
                raise BadInputError(f"max_model_len {float(longest):,.0f} is more than {spec.id}'s {own}")
            return spec.model_copy(update={"max_context_tokens": int(float(longest))}) if longest else spec

        def precision_of(name: str, model: str, *machine: str) -> Precision:
            return as_run(named_precision(name, catalog, self.model(model).spec), self.machine(*machine))

        self.model: Memo[Loaded[ModelSpec]] = Memo(lambda name: open_model(name, catalog).loaded)
        self.gpu: Memo[Loaded[GpuSpec]] = Memo(lambda name: catalog.get(GpuSpec, name))
        self.engine: Memo[Loaded[EngineSpec]] = Memo(lambda name: catalog.get(EngineSpec, name))
        self.support: Memo[SupportSpec | None] = Memo(lambda name: support_of(self.engine(name).spec, catalog))
        """By the name of its engine."""
        self.system = Memo(system_of)
        """By the id of its GPU."""
        self.machine = Memo(machine_of)
        """By the names of its GPU, its engine and the release, and the engine's settings."""
        self.model_up_to = Memo(model_of)
        """By its name and the longest request that the engine accepts."""
        self.precision = Memo(precision_of)
        """By its name, the model's, and those of the machine that runs it."""
        self.format: Memo[tuple[str, FormatSpec]] = Memo(catalog.format)
        """(key, spec) by any of its names."""
