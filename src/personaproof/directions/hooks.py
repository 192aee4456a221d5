"""Plain forward hooks at block inputs and module outputs, removed however the block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from personaproof.core import ModelError
from personaproof.directions.structure import Anatomy

Visit = Callable[[int, Tensor], Tensor | None]
"""From (layer, hidden states (rows, columns, width)) to what takes their place, None to leave them."""


@contextmanager
def at_block_inputs(parts: Anatomy, layers: Iterable[int], visit: Visit) -> Iterator[None]:
    """Show `visit` the input of each of `layers` in every forward inside the block: `hidden_states[l]`, the output of
    block l - 1. Of several contexts the outer one acts first. Whether a layer returns a tensor or a tuple is no matter.

    Raises ModelError where there is no such layer.
    """
    with ExitStack() as stack:
        for layer in dict.fromkeys(layers):
            module = parts.blocks[parts.check_layer(layer)].module
            handle = module.register_forward_pre_hook(_input_hook(layer, visit), with_kwargs=True)
            stack.callback(handle.remove)
        yield


class _AllSeen(Exception):
    """Ends a forward pass of which nothing more is wanted."""


def see_block_inputs(
    parts: Anatomy, layers: Iterable[int], see: Callable[[int, Tensor], None], forward: Callable[[], object]
) -> None:
    """Run `forward`, one pass of the model, as far as the last of `layers`, and show `see` the input of each of them.

    Blocks behind the last layer, the final norm and the head are not computed: of a layer half-way up, half the work.
    Whatever `forward` keeps of the pass, such as a cache, is incomplete afterwards. Raises ModelError where there is no
    such layer.
    """
    chosen = set(layers)
    last = max(chosen, default=None)

    def visit(layer: int, hidden: Tensor) -> None:
        see(layer, hidden)
        if layer == last:
            raise _AllSeen

    with at_block_inputs(parts, chosen, visit), suppress(_AllSeen):
        forward()


@contextmanager
def at_outputs(modules: Iterable[nn.Module], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put every module's output through `change`; of a tuple or list, the first element."""
    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(_output_hook(change)).remove)
        yield


def _input_hook(layer: int, visit: Visit) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]] | None]:
    def hook(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        by_name = not args
        hidden = kwargs.get("hidden_states") if by_name else args[0]
        if not isinstance(hidden, Tensor):
            raise ModelError(f"layer {layer} ({type(module).__name__}) takes its hidden states in an unknown way.")
        changed = visit(layer, hidden)
        if changed is None:
            return None
        return (args, {**kwargs, "hidden_states": changed}) if by_name else ((changed, *args[1:]), kwargs)

    return hook


def _output_hook(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return change(output)
        if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
            return type(output)((change(output[0]), *output[1:]))
        raise ModelError(f"{type(module).__name__} returns a {type(output).__name__}, whose hidden states are unknown.")

    return hook
