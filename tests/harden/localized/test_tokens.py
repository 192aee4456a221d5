"""The vote: counting and election by hand, positions after the end of a turn, and a planted direction's own token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from personaproof.core import DataError
from personaproof.directions import load_direction
from personaproof.engines import TransformersEngine
from personaproof.harden.forward import output_head
from personaproof.harden.head import OutputHead
from personaproof.harden.localized.prompts import PromptSet
from personaproof.harden.localized.recipe import Vote
from personaproof.harden.localized.teacher import SteeredTeacher
from personaproof.harden.localized.tokens import SafetyTokens, Tally, _before_end, elect, safety_tokens, tally
from personaproof.harden.sequences import Encoder

Plant = Callable[..., Path]


def test_each_position_votes_for_what_steering_raises_most() -> None:
    base = torch.zeros(2, 5)
    teacher = torch.tensor([[3.0, 1.0, 2.0, -1.0, 9.0], [0.5, 2.0, -3.0, 1.0, 9.0]])
    barred = torch.tensor([False, False, False, False, True])
    counted = tally(teacher, base, barred, 2)
    assert counted.votes.tolist() == [1, 1, 1, 1, 0]
    assert counted.margin.tolist() == [3.0, 2.0, 2.0, 1.0, 0.0]
    everyone = tally(teacher, base, barred, 200)
    assert everyone.votes.tolist() == [2, 2, 2, 2, 0]


def test_most_votes_win_then_the_larger_rise_then_the_lower_id() -> None:
    counted = Tally(torch.tensor([2, 5, 0, 2, 2]), torch.tensor([1.0, 0.1, 9.0, 4.0, 1.0]))
    assert elect(counted, 3, 5) == SafetyTokens((1, 3, 0), (5, 2, 2), 5)
    assert elect(counted, 50, 5).tokens == (1, 3, 0, 4)


def test_positions_from_the_expected_end_on_do_not_vote() -> None:
    head = OutputHead(torch.eye(3))
    rows = torch.eye(3)[[0, 2, 1, 1, 0, 2, 0]]  # the token that each position most expects; 2 ends a turn
    owner = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    kept = _before_end(rows, head, owner, 2, {2})
    assert kept.tolist() == [True, False, False, True, True, False, False]


@pytest.mark.parametrize("folder", ["tiny_llama", "tiny_qwen2"])
def test_the_token_steered_towards_is_elected(
    folder: str, request: pytest.FixtureRequest, toy_prompts: PromptSet, plant: Plant
) -> None:
    path: Path = request.getfixturevalue(folder)
    engine = TransformersEngine.load(path, dtype="float32", device="cpu")
    direction = load_direction(plant(path, 300))
    teacher = SteeredTeacher(engine.model, direction, 1.0, torch.float32, adapter=True)
    encoder = Encoder(engine.tokenizer, "tiny", engine.end_of_turn)
    vote = Vote(tokens=10, horizon=3, samples=2, ballots=20)
    found = safety_tokens(teacher, encoder, engine.end_of_turn, toy_prompts.harmless, vote, 0)
    assert 300 in found.tokens[:5]
    assert len(found.tokens) == 10
    assert list(found.votes) == sorted(found.votes, reverse=True)
    assert found.votes[0] <= found.positions <= 4 * 2 * 3
    assert not set(found.tokens) & set(engine.tokenizer.all_special_ids)
    again = safety_tokens(teacher, encoder, engine.end_of_turn, toy_prompts.harmless, vote, 0)
    assert again == found
    unlikely = vote.model_copy(update={"least_probability": 0.999})
    with pytest.raises(DataError, match=r"lower vote\.least_probability"):
        safety_tokens(teacher, encoder, engine.end_of_turn, toy_prompts.harmless, unlikely, 0)
    assert teacher.head.weight.data_ptr() == output_head(engine.model).weight.data_ptr()
