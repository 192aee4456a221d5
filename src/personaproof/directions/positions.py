"""Which tokens of a forward pass an intervention touches: all, the prompt's, or a span of each row's own tokens.

Columns are not positions: rows are padded on either side, and with a cache a forward sees only the newest columns. So
the decoder's own arguments are read before each forward, and real tokens are counted from the mask or the positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from personaproof.core import ModelError


@dataclass(frozen=True, eq=False)
class Span:
    """Tokens `start` up to, not including, `stop` of each row, padding not counted: one number for all rows, or (rows,)
    numbers. None is the end. In a batch whose rows come and go, as while decoding, only one number for all fits."""

    start: int | Tensor = 0
    stop: int | Tensor | None = None


Positions = Literal["all", "prompt"] | Span
""""prompt" is everything fed before the first generated token is fed back. It needs the key-value cache while
generating, since a forward over the whole text does not show where the prompt ended."""


class Tracker:
    """`mask` is (rows, columns), true where the forward at hand is to be touched; None for everywhere."""

    def __init__(self, positions: Positions, decoder: nn.Module) -> None:
        self._positions = positions
        self._signature = inspect.signature(decoder.forward)
        self._rows = 0
        self.mask: Tensor | None = None

    def before_forward(self, decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = self._signature.bind_partial(*args, **kwargs).arguments
        given = {**bound.pop("kwargs", {}), **bound}
        inputs = given.get("input_ids")
        inputs = inputs if inputs is not None else given.get("inputs_embeds")
        if inputs is None:
            raise ModelError("the decoder was called with neither tokens nor embeddings, so positions are unknown.")
        rows, columns = inputs.shape[:2]
        if self._positions == "prompt":
            self.mask = torch.full((rows, columns), self._in_prompt(rows, columns, given), device=inputs.device)
        elif isinstance(self._positions, Span):
            self.mask = _inside(self._positions, _real_index(given, rows, columns, inputs.device))
        self._rows = rows

    def _in_prompt(self, rows: int, columns: int, given: Mapping[str, Any]) -> bool:
        if given.get("use_cache") is False:
            raise ModelError(
                'positions "prompt" need the key-value cache: without it every forward feeds prompt and answer '
                "together. Turn use_cache on, or give a Span."
            )
        if _cached(given) == 0:
            return True
        # One column on a cache is a generated token. An engine that computes shared openings once feeds the rest of the
        # prompts after them, which may be one column too, but then the batch has grown by the rows that shared.
        return columns > 1 or rows > self._rows


@contextmanager
def tracking(decoder: nn.Module, positions: Positions) -> Iterator[Tracker]:
    """A tracker that is up to date whenever one of the decoder's layers runs. Raises ValueError for other positions."""
    if not isinstance(positions, Span) and positions not in ("all", "prompt"):
        raise ValueError(f'positions are "all", "prompt" or a Span, not {positions!r}')
    tracker = Tracker(positions, decoder)
    if positions == "all":
        yield tracker
        return
    handle = decoder.register_forward_pre_hook(tracker.before_forward, with_kwargs=True)
    try:
        yield tracker
    finally:
        handle.remove()


def _cached(given: Mapping[str, Any]) -> int:
    cache = given.get("past_key_values")
    return 0 if cache is None else int(cache.get_seq_length())


def _real_index(given: Mapping[str, Any], rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows, columns): how many real tokens of the row come before each column's; -1 at padding."""
    mask = given.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1] >= columns:
        real = mask.to(device) > 0
        index = real.cumsum(-1) - 1
        start = min(_cached(given), mask.shape[1] - columns)
        window = slice(start, start + columns)
        return torch.where(real[:, window], index[:, window], -1)
    where = given.get("position_ids")
    if isinstance(where, Tensor) and where.ndim == 2:
        return where.to(device).expand(rows, columns)
    if mask is not None:
        raise ModelError("this forward's attention mask does not show where the padding is; pass position_ids too.")
    return (_cached(given) + torch.arange(columns, device=device)).expand(rows, columns)


def _inside(span: Span, index: Tensor) -> Tensor:
    inside = index >= _bound(span.start, index)
    if span.stop is not None:
        inside &= index < _bound(span.stop, index)
    return inside & (index >= 0)


def _bound(bound: int | Tensor, index: Tensor) -> int | Tensor:
    if not isinstance(bound, Tensor):
        return bound
    if bound.shape != index.shape[:1]:
        raise ModelError(
            f"a span for {bound.numel()} rows met a batch of {index.shape[0]}; give one number for all rows."
        )
    return bound.to(index.device)[:, None]
