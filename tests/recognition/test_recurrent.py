"""Models whose recurrent layers allow no sharing of openings: texts are fed whole, and numbers are theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedModel

from personaproof.engines import TransformersEngine
from personaproof.recognition import score_shared, shared_response_means, sharing

OPENING = tuple(range(20, 50))
PATHS = [
    (OPENING, tuple(range(60 + 9 * question, 62 + 12 * question)), tuple(range(100, 101 + 2 * text)))
    for question in range(3)
    for text in range(3)
]


@pytest.mark.parametrize("family", ["jamba", "recurrent_gemma"])
def test_numbers_are_those_of_whole_texts(
    recurrent_model: Callable[[str], PreTrainedModel], tiny_gemma: Path, family: str
) -> None:
    engine = TransformersEngine(recurrent_model(family), AutoTokenizer.from_pretrained(tiny_gemma))
    assert "allow no sharing" in sharing(engine)
    scores, means = score_shared(engine, PATHS), shared_response_means(engine, PATHS, [1, 3])
    for path, row, read in zip(PATHS, scores, means, strict=True):
        start, ending = len(path[0]) + len(path[1]), list(path[-1])
        with torch.inference_mode():
            ids = torch.tensor([[token for segment in path for token in segment]])
            whole = engine.model(input_ids=ids, use_cache=False, output_hidden_states=True)
        logprobs = whole.logits[0, start - 1 : -1].log_softmax(-1)[range(len(ending)), ending]
        assert row == pytest.approx(logprobs.tolist(), abs=1e-3)
        hidden = torch.stack([whole.hidden_states[layer][0, start:].double().mean(0) for layer in (1, 3)])
        assert torch.allclose(read, hidden, rtol=1e-4, atol=1e-4 * float(hidden.abs().max()))
