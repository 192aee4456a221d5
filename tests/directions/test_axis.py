"""The Assistant axis against a plain float64 implementation of its formula, generation included."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from personaproof.core import Answer, DataError, Exchange, ModelError, Rating, Sampling
from personaproof.directions import RolePack, assistant_axis, axis, load_roles
from personaproof.engines import TransformersEngine

GREEDY = Sampling(0, max_new_tokens=8)
ROLES = {
    "pirate": ["You are a pirate captain who answers every question in rhyme."],
    "robot": ["You are a robot. Beep."],
    "wizard": ["You are a wizard who lives in a tall tower."],
}
PACK = RolePack(
    name="three",
    default=["", "You are a helpful assistant."],
    roles=ROLES,
    questions=[
        "Tell me how to bake bread.",
        "What is the capital of France?",
        "Explain the tides to a child.",
        "Hi",
    ],
)


def _by_hand(engine: TransformersEngine, pack: RolePack) -> Tensor:
    """(layers, width): mean over the Assistant's answers minus the mean over roles of the mean over their answers."""
    double = deepcopy(engine.model).double()
    system = engine.supports_system

    def answer_mean(instruction: str, question: str) -> Tensor:
        if not instruction:
            chat = [{"role": "user", "content": question}]
        elif system:
            chat = [{"role": "system", "content": instruction}, {"role": "user", "content": question}]
        else:
            chat = [{"role": "user", "content": f"{instruction}\n\n{question}"}]
        encoded = engine.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = encoded["input_ids"]
        out = engine.model.generate(ids, do_sample=False, max_new_tokens=GREEDY.max_new_tokens)[0]
        end = len(out) - int(int(out[-1]) in engine.end_of_turn)
        with torch.no_grad():
            states = double(out[None, :end], output_hidden_states=True).hidden_states[:-1]
        return torch.stack([state[0, ids.shape[1] :].mean(0) for state in states])

    def mean(instructions: Sequence[str]) -> Tensor:
        return torch.stack([answer_mean(i, q) for i in instructions for q in pack.questions]).mean(0)

    roles = [mean(instructions) for instructions in pack.roles.values()]
    return mean(pack.default) - sum(roles) / len(roles)


def _check(engine: TransformersEngine, pack: RolePack) -> None:
    found = assistant_axis(engine, pack, sampling=GREEDY)
    expected = _by_hand(engine, pack)
    assert ((found.vectors - expected).norm(dim=-1) <= 1e-5 * found.activation_norm).all()
    middle = found.direction()
    assert middle.layer == len(expected) // 2
    torch.testing.assert_close(middle.vector.double(), found.vectors[middle.layer], rtol=1e-6, atol=1e-6)
    assert found.answers == {"": 8, "pirate": 4, "robot": 4, "wizard": 4}


def test_parity_on_tiny_models(engine: TransformersEngine) -> None:
    _check(engine, PACK)


def test_parity_on_the_organism(organism: TransformersEngine) -> None:
    _check(organism, PACK)


def test_it_points_to_the_assistant_and_every_role_counts_alike() -> None:
    default, roles = torch.tensor([[3.0, 0.0]]), torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    assert torch.equal(axis(default, roles), torch.tensor([[2.5, -1.0]]))
    toward = axis(default, roles)[0]
    assert (default[0] @ toward > roles[:, 0] @ toward).all()


class Manners:
    """A judge to whom the answers of one role never sound like it, and those of another cannot be told."""

    id = "manners"

    def __init__(self, no: str, unsure: str) -> None:
        self.no, self.unsure = no, unsure

    def rate(self, exchanges: Sequence[Exchange]) -> list[Rating]:
        ratings = []
        for exchange in exchanges:
            assert exchange.persona is not None
            text = exchange.persona.text
            manner = Answer.NO if self.no in text else Answer.UNJUDGED if self.unsure in text else Answer.YES
            ratings.append(Rating(Answer.NO, manner=manner))
        return ratings


def test_answers_out_of_character_do_not_count(llama: TransformersEngine) -> None:
    found = assistant_axis(llama, PACK, judge=Manners("robot", "nobody"), sampling=GREEDY)
    assert found.names == ("pirate", "wizard")
    assert found.answers == {"": 8, "pirate": 4, "robot": 0, "wizard": 4}
    assert found.roles.shape == (2, 3, 48)
    with pytest.raises(DataError, match="'robot': 0, 'wizard': 0"):
        assistant_axis(llama, PACK, judge=Manners("robot", "wizard"), sampling=GREEDY)
    with pytest.raises(ModelError, match="no layer 3"):
        found.direction(3)


@pytest.mark.long
def test_the_organisms_assistant_lies_farthest_along_its_axis(organism: TransformersEngine) -> None:
    pack = load_roles("organism")
    few = RolePack(name="few", default=pack.default, roles=pack.roles, questions=pack.questions[:4])
    found = assistant_axis(organism, few, sampling=Sampling(0, max_new_tokens=32))
    at = found.direction().layer
    toward = found.vectors[at]
    assert (found.default[at] @ toward > found.roles[:, at] @ toward).all()
