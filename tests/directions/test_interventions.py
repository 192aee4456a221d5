"""Interventions on real model shapes: against a rewritten forward pass, with and without cache, on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from personaproof.core import Conversation, Job, Message, ModelError, Sampling
from personaproof.directions import Positions, Span, When, ablate, anatomy, cap, floor, numerics, steer
from personaproof.engines import TransformersEngine

TEXTS = ("Hi", "Tell me how to bake bread, please.", "What is the capital of France? Explain the tides to a child.")
GREEDY = Sampling(temperature=0, max_new_tokens=6)


def _rows(engine: TransformersEngine) -> list[list[int]]:
    return engine.prompt_tokens([Conversation((Message("user", text),)) for text in TEXTS])


def _states(engine: TransformersEngine, ids: list[int]) -> tuple[Tensor, ...]:
    """Block inputs and, last, the input of the final norm, of one row."""
    seen: list[Tensor] = []
    parts = anatomy(engine)
    handles = [b.module.register_forward_pre_hook(lambda m, a: seen.append(a[0])) for b in parts.blocks]
    norm = parts.decoder.norm.register_forward_pre_hook(lambda m, a: seen.append(a[0]))
    with torch.no_grad():
        engine.model(torch.tensor([ids]))
    for handle in [*handles, norm]:
        handle.remove()
    return tuple(seen)


def test_steering_adds_at_the_input_of_one_block(engine: TransformersEngine, random_vector: Any) -> None:
    ids, v = _rows(engine)[1], random_vector(engine)
    before = _states(engine, ids)
    with steer(engine, v, 2.0, layers=[1]):
        after = _states(engine, ids)
    torch.testing.assert_close(after[0], before[0], rtol=0, atol=0)
    torch.testing.assert_close(after[1], before[1] + 2.0 * v)
    assert not torch.allclose(after[2], before[2])


def test_ablation_keeps_the_direction_out_of_the_whole_stream(engine: TransformersEngine, random_vector: Any) -> None:
    ids, v = _rows(engine)[1], random_vector(engine)
    with ablate(engine, v):
        states = _states(engine, ids)
    for state in states[:-1]:
        assert (numerics.component(state, v).abs() <= 1e-5 * state.norm(dim=-1)).all()
    if "gemma" not in engine.name:  # which norms what a block wrote once more before it is added
        assert (numerics.component(states[-1], v).abs() <= 1e-5 * states[-1].norm(dim=-1)).all()


def test_ablation_matches_a_forward_pass_written_out(llama: TransformersEngine, random_vector: Any) -> None:
    """Llama by hand in float64, with (I - r r^T) wherever the stream is read or written."""
    ids, v = _rows(llama)[2], random_vector(llama)
    model = llama.model
    double = type(model)(model.config).double()
    double.load_state_dict({k: t.double() for k, t in model.state_dict().items()})
    r = (v / v.norm()).double()
    project = torch.eye(len(r), dtype=torch.float64) - torch.outer(r, r)
    base = double.model
    with torch.no_grad():
        x = base.embed_tokens(torch.tensor([ids]))
        rope = base.rotary_emb(x, torch.arange(len(ids))[None])
        mask = torch.full((len(ids), len(ids)), float("-inf"), dtype=torch.float64).triu(1)[None, None]
        for layer in base.layers:
            x = x @ project
            x = (
                x
                + layer.self_attn(layer.input_layernorm(x), position_embeddings=rope, attention_mask=mask)[0] @ project
            )
            x = x + layer.mlp(layer.post_attention_layernorm(x)) @ project
        expected = double.lm_head(base.norm(x))
        with ablate(llama, v):
            found = model(torch.tensor([ids])).logits
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


CONTEXTS: dict[str, Callable[[Any, Tensor], Any]] = {
    "steer": lambda m, v: steer(m, v, 3.0, layers=[1]),
    "ablate": lambda m, v: ablate(m, v),
    "floor": lambda m, v: floor(m, v, 1.0, layers=[0, 1]),
    "cap": lambda m, v: cap(m, v, -1.0, layers=[1]),
    "from the third token": lambda m, v: steer(m, v, 3.0, layers=[1], positions=Span(3)),
    "the third token": lambda m, v: steer(m, v, 3.0, layers=[1], positions=Span(2, 3)),
    "when": lambda m, v: steer(m, v, 3.0, layers=[1], when=When(v, lambda c: c < 0)),
}


@pytest.mark.parametrize("kind", CONTEXTS)
def test_left_right_and_single_agree(engine: TransformersEngine, random_vector: Any, pad: Any, kind: str) -> None:
    rows, v = _rows(engine), random_vector(engine)
    with CONTEXTS[kind](engine, v), torch.no_grad():
        single = [engine.model(torch.tensor([row])).logits[0, -1] for row in rows]
        for side in ("left", "right"):
            ids, mask, where = pad(rows, side)
            logits = engine.model(ids, attention_mask=mask, position_ids=where).logits
            for i, row in enumerate(rows):
                at = -1 if side == "left" else len(row) - 1
                torch.testing.assert_close(logits[i, at], single[i], rtol=1e-3, atol=1e-3)
        plain = engine.model(torch.tensor([rows[2]])).logits[0, -1]
    with torch.no_grad():
        assert not torch.allclose(plain, engine.model(torch.tensor([rows[2]])).logits[0, -1], atol=1e-3)


@pytest.mark.parametrize("kind", CONTEXTS)
def test_generation_with_and_without_cache_and_by_our_engine(
    engine: TransformersEngine, random_vector: Any, pad: Any, kind: str
) -> None:
    rows, v = _rows(engine), random_vector(engine)
    ids, mask, _ = pad(rows, "left")
    options = {"attention_mask": mask, "max_new_tokens": 6, "do_sample": False}
    with CONTEXTS[kind](engine, v):
        cached = engine.model.generate(ids, **options)[:, ids.shape[1] :]
        uncached = engine.model.generate(ids, **options, use_cache=False)[:, ids.shape[1] :]
        jobs = [Job(Conversation((Message("user", text),)), GREEDY) for text in TEXTS]
        ours = engine.generate_batch(jobs)
    assert cached.tolist() == uncached.tolist()
    for row, completion in zip(cached.tolist(), ours, strict=True):
        assert tuple(row[: len(completion.tokens)]) == completion.tokens


def test_prompt_positions_leave_generated_tokens_alone(llama: TransformersEngine, random_vector: Any) -> None:
    row, v = _rows(llama)[2], random_vector(llama)
    seen: list[Tensor] = []
    clean: list[Tensor] = []
    block = anatomy(llama).blocks[1].module
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    outer = block.register_forward_pre_hook(lambda m, a: clean.append(a[0]))
    with steer(llama, v, 3.0, layers=[1], positions="prompt"):
        inner = block.register_forward_pre_hook(lambda m, a: seen.append(a[0]))
        llama.model.generate(torch.tensor([row]), **options)
    outer.remove()
    inner.remove()
    assert len(seen) == 4
    torch.testing.assert_close(seen[0], clean[0] + 3 * v)
    assert all(torch.equal(a, b) for a, b in zip(seen[1:], clean[1:], strict=True))


def test_prompt_positions_when_our_engine_shares_openings(llama: TransformersEngine, random_vector: Any) -> None:
    """Twice the same prompt leaves a rest of one column, which is still prompt."""
    v = random_vector(llama)
    jobs = [Job(Conversation((Message("user", TEXTS[2]),)), GREEDY, sample_index=i) for i in range(4)]
    with steer(llama, v, 3.0, layers=[1], positions="prompt"):
        together = llama.generate_batch(jobs)
        alone = llama.generate_batch(jobs[:1])
    assert {c.tokens for c in together} == {alone[0].tokens}
    torch.testing.assert_close(torch.tensor(together[0].logprobs), torch.tensor(alone[0].logprobs), rtol=0, atol=1e-3)


@pytest.mark.parametrize("positions", [Span(5), Span(2, 40), "prompt"])
def test_positions_hold_when_rows_share_an_opening_and_come_and_go(
    llama: TransformersEngine, random_vector: Any, positions: Positions
) -> None:
    """Padding then stands in the middle of rows, and finished rows leave the batch."""
    system = Message("system", "You are a pirate captain who answers every question in rhyme, " + "slowly and " * 9)
    jobs = [
        Job(Conversation((system, Message("user", text))), Sampling(0, max_new_tokens=limit))
        for text, limit in zip((*TEXTS, "Beep"), (2, 9, 3, 9), strict=True)
    ]
    with steer(llama, random_vector(llama), 3.0, layers=[1], positions=positions):
        together = llama.generate_batch(jobs)
        alone = [llama.generate_batch([job])[0] for job in jobs]
    assert [c.tokens for c in together] == [c.tokens for c in alone]
    assert [c.tokens for c in together] != [c.tokens for c in llama.generate_batch(jobs)]


def test_prompt_positions_need_the_cache(llama: TransformersEngine, random_vector: Any) -> None:
    with (
        steer(llama, random_vector(llama), layers=[1], positions="prompt"),
        pytest.raises(ModelError, match="key-value cache"),
    ):
        llama.model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=2, use_cache=False)


@pytest.mark.parametrize("kind", CONTEXTS)
def test_the_model_is_bit_identical_afterwards(llama: TransformersEngine, random_vector: Any, kind: str) -> None:
    ids = torch.tensor([_rows(llama)[1]])
    weights = {name: tensor.clone() for name, tensor in llama.model.state_dict().items()}
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in llama.model.modules()]
    with torch.no_grad():
        before = llama.model(ids).logits
        with CONTEXTS[kind](llama, random_vector(llama)):
            assert not torch.equal(llama.model(ids).logits, before)
        assert torch.equal(llama.model(ids).logits, before)
        with pytest.raises(RuntimeError, match="boom"), CONTEXTS[kind](llama, random_vector(llama)):
            raise RuntimeError("boom")
        # An exception from within a forward pass, half-way through the layers.
        with (
            pytest.raises(ZeroDivisionError),
            CONTEXTS[kind](llama, random_vector(llama)),
            steer(llama, random_vector(llama), layers=[1], when=When(random_vector(llama), lambda c: 1 / 0)),
        ):
            llama.model(ids)
        assert torch.equal(llama.model(ids).logits, before)
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in llama.model.modules()]
    assert all(torch.equal(weights[name], tensor) for name, tensor in llama.model.state_dict().items())


def test_gradients_flow_through_under_peft_in_training(tiny_llama: Any, random_vector: Any) -> None:
    engine = TransformersEngine.load(tiny_llama, dtype="bfloat16", device="cpu")
    model = get_peft_model(engine.model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    ids, v = torch.tensor([_rows(engine)[1]]), random_vector(engine)

    def gradients() -> list[Tensor]:
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and "lora_B" in n]

    plain = gradients()
    with steer(model, v, 3.0, layers=[1], positions=Span(2)), ablate(model, random_vector(engine, 1)):
        changed = gradients()
    assert len(plain) == len(changed) > 0
    assert all(torch.isfinite(g).all() for g in changed)
    # The first layer's adapters get a gradient through the interventions behind them.
    assert any(not torch.equal(a, b) for a, b in zip(plain[:7], changed[:7], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain, gradients(), strict=True))


def test_layers_that_return_tuples(random_vector: Any, llama: TransformersEngine) -> None:
    """As older and third-party models' layers do: rows other than the first must be changed too."""
    from torch import nn

    class TupleLayer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn, self.mlp = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, hidden_states: Tensor) -> tuple[Tensor, None]:
            hidden_states = hidden_states + self.attn(hidden_states)
            return hidden_states + self.mlp(hidden_states), None

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([TupleLayer(), TupleLayer()])

        def forward(self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None) -> Tensor:
            hidden = inputs_embeds
            for layer in self.layers:
                hidden = layer(hidden_states=hidden)[0]
            return hidden

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = Decoder()
            text = type("C", (), {"num_hidden_layers": 2, "hidden_size": 8, "model_type": "toy"})
            self.config = type("Config", (), {"get_text_config": lambda self: text})()

        def get_decoder(self) -> nn.Module:
            return self.decoder

        def forward(self, embeds: Tensor) -> Tensor:
            return self.decoder(inputs_embeds=embeds)

    torch.manual_seed(0)
    model, embeds, v = Causal(), torch.randn(3, 4, 8), torch.randn(8)
    first, second = model.decoder.layers
    with torch.no_grad():
        with steer(model, v, 2.0, layers=[1]):
            found = model(embeds)
        torch.testing.assert_close(found, second(first(embeds)[0] + 2 * v)[0])
        with ablate(model, v):
            assert numerics.component(model(embeds), v).abs().max() < 1e-5


def test_what_does_not_fit_is_refused(llama: TransformersEngine, random_vector: Any) -> None:
    v = random_vector(llama)
    for bad, match in (
        (lambda: steer(llama, v), "where it belongs"),
        (lambda: steer(llama, v[:5], layers=[0]), "does not fit"),
        (lambda: steer(llama, v * 0, layers=[0]), "not zero"),
        (lambda: steer(llama, v, layers=[7]), "no layer 7"),
    ):
        with pytest.raises(ModelError, match=match), bad():
            raise AssertionError("entered")
    with pytest.raises(ValueError, match="positions"), steer(llama, v, layers=[0], positions="last"):  # type: ignore[arg-type]
        raise AssertionError("entered")
    with (
        steer(llama, v, layers=[0], positions=Span(torch.tensor([1, 2]))),
        pytest.raises(ModelError, match="2 rows met a batch of 1"),
    ):
        llama.model(torch.tensor([[5, 6]]))
