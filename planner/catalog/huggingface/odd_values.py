"""Values of a Hugging Face config that no checkpoint means: refused, though no size depends on some of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from planner.catalog.huggingface.fields import Fields
from planner.documents.spec import shown
from planner.errors import BadInputError

_ROPE = ("rope_scaling", "rope_parameters")
_ROPE_NUMBERS = ("factor", "rope_theta", "original_max_position_embeddings", "partial_rotary_factor")


def refuse_odd_parts(config: Mapping[str, Any], parts: tuple[str, ...], where: str) -> None:
    """Raise BadInputError where a part of a config is no JSON object, or its classes are no list of names."""
    for name in parts:
        value = config.get(name)
        if value is not None and not isinstance(value, Mapping) and value != []:
            raise BadInputError(f"{name}: {shown(value)} is not valid here; expected a JSON object", where=where)
    classes = config.get("architectures")
    if classes is not None and not isinstance(classes, list | tuple):
        raise BadInputError(
            f"architectures: {shown(classes)} is not valid here; expected a list of class names", where=where
        )


def refuse_odd_values(f: Fields, layers: int) -> None:
    """Raise BadInputError for positions, experts and layers that contradict themselves."""
    _refuse_odd_positions(f)
    alone = Fields(f.data, f.where, f.text)  # a look that does not count as use
    name, experts = alone.first(("num_experts",))
    chosen, per_token = alone.first(("num_experts_per_tok",))
    if experts == 0 and per_token not in {None, 0} and chosen not in f.assumed:
        f.fail(name, f"0 experts, of which {chosen} takes {shown(per_token)}; expected at least as many, or both 0")
    name, dense = alone.first(("first_k_dense_replace",))
    if isinstance(dense, int) and dense > layers and name not in f.assumed:
        f.fail(name, f"{dense} is more than the {layers} layers; expected at most that")
    for number in f.mapping("per_layer_config"):
        if not number.isdigit() or int(number) >= layers:
            f.fail("per_layer_config", f"names the layer {number!r}; expected 0 to {layers - 1}")


def _refuse_odd_positions(f: Fields) -> None:
    for field, name, value in _position_numbers(f):
        numbers = [n for n in (value if isinstance(value, list | tuple) else [value]) if n is not None]
        if any(isinstance(n, bool) or not isinstance(n, int | float) or n < 0 for n in numbers) or (
            name == "factor" and 0 in numbers
        ):
            what = shown(value) if field == name else f"{name} {shown(value)}"
            f.fail(field, f"{what} is not valid here; expected a number above 0")


def _position_numbers(f: Fields) -> Iterator[tuple[str, str, object]]:
    """Yield field, name and value of what scales positions, for all layers or for each kind of layer."""
    for name in _ROPE_NUMBERS:
        if name in f.data:
            yield name, name, f.data[name]
    for field in _ROPE:
        own = f.inner(field)
        for scaling in [own.data, *(v for v in own.data.values() if isinstance(v, Mapping))] if own else ():
            yield from ((field, name, scaling[name]) for name in _ROPE_NUMBERS if name in scaling)
