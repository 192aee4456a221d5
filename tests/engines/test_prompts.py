"""Prompts through the chat template: system roles, BOS, dates, and templates that will not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from personaproof.core import Conversation, Job, Message, ModelError, Sampling
from personaproof.engines._prompts import Prompts
from personaproof.engines.transformers import TransformersEngine

HELLO = Conversation((Message("user", "Hello there"),))
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %} [INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] ANSWER_FILTER }}{{ eos_token }}{% endif %}{% endfor %}"
)
DROPS_SYSTEM = "{% for m in messages if m['role'] != 'system' %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


@pytest.mark.parametrize(("name", "expected"), [("tiny_llama", True), ("tiny_qwen2", True), ("tiny_gemma", False)])
def test_system_role_is_found_by_trying(name: str, expected: bool, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    assert Prompts(AutoTokenizer.from_pretrained(folder), name).supports_system is expected


def test_a_template_that_drops_the_system_message_has_no_system_role(tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = DROPS_SYSTEM
    assert not Prompts(tokenizer, "x").supports_system


def test_prompts_equal_the_librarys_and_open_with_one_bos(
    engine: TransformersEngine, make_jobs: Callable[..., list[Job]], prompt_ids: Callable[..., Any]
) -> None:
    jobs = make_jobs(Sampling(), engine.supports_system)
    prompts = engine.prompt_tokens([job.conversation for job in jobs])
    for job, prompt in zip(jobs, prompts, strict=True):
        assert prompt == prompt_ids(engine, job.conversation)[0].tolist()
        if engine.tokenizer.bos_token_id is not None:
            assert prompt.count(engine.tokenizer.bos_token_id) == 1
            assert prompt[0] == engine.tokenizer.bos_token_id


def test_a_system_message_on_a_template_without_one_says_what_to_do(tiny_gemma: Path) -> None:
    prompts = Prompts(AutoTokenizer.from_pretrained(tiny_gemma), "tiny-gemma")
    with pytest.raises(ModelError, match="--framing user"):
        prompts.tokenise([Conversation((Message("system", "You are a pirate."), Message("user", "Hi")))])


@pytest.mark.parametrize("template", [None, ""])
def test_no_chat_template(tiny_llama: Path, template: str | None) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match="no chat template"):
        Prompts(tokenizer, "base-model")


def test_a_template_that_cannot_render_a_user_message(tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = "{{ raise_exception('tools only') }}"
    with pytest.raises(ModelError, match="tools only"):
        Prompts(tokenizer, "odd-model")


@pytest.mark.parametrize("expression", ["strftime_now('%d %b %Y')", "date_string"])
def test_todays_date_never_enters_a_prompt(tiny_llama: Path, expression: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = f"Today is {{{{ {expression} }}}}. {{{{ messages[-1]['content'] }}}}"
    assert Prompts(tokenizer, "dated").render(HELLO) == "Today is 26 Jul 2024. Hello there"


def sentencepiece_like(specials: list[str]) -> PreTrainedTokenizerFast:
    """As Mixtral's: every text gets a space before it, also behind a special token, and loses one when decoded."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    # For training alone, so that no token spans two words.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *specials], show_progress=False
    )
    corpus = [
        "[INST] Hello there Zq7 is your name. [/INST] Me",
        "[INST] Me or Someone? [/INST] Someone",
        "Me",
        "Someone",
    ]
    tokenizer.train_from_iterator(corpus * 20, trainer)
    tokenizer.pre_tokenizer = None
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def inst(tokenizer: Any, answer_filter: str = "") -> Prompts:
    """With a template as Mixtral's, or Llama 2's where answers are stripped: prompts end in `[/INST]`."""
    tokenizer.chat_template = INST.replace("ANSWER_FILTER", answer_filter)
    return Prompts(tokenizer, "inst")


def pieces(prompts: Prompts, response: str) -> list[str]:
    _, responses = prompts.tokenise_responses([(HELLO, response)])
    return list(prompts.tokenizer.convert_ids_to_tokens(responses[0]))


@pytest.mark.parametrize("answer_filter", ["", "| trim"])
def test_answers_are_tokenised_behind_the_space_that_the_template_opens_them_with(answer_filter: str) -> None:
    prompts = inst(sentencepiece_like([]), answer_filter)
    assert pieces(prompts, "Me") == ["▁Me"]
    assert pieces(prompts, "Someone") == ["▁Someone"]
    # The template strips this one, which is no reason to tokenise it otherwise.
    assert pieces(prompts, "Me ") == ["▁Me", "▁"]
    assert pieces(prompts, " Me")[-1] == "▁Me"
    assert pieces(prompts, "") == []
    (prompt,), (response,) = prompts.tokenise_responses([(HELLO, "Someone")])
    turn = [*HELLO.as_dicts(), {"role": "assistant", "content": "Someone"}]
    whole = prompts.tokenizer.apply_chat_template(turn, tokenize=False)
    assert [*prompt, *response, 2] == prompts.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert prompts.decode(response) == "Someone"


def test_a_space_that_the_tokenizer_writes_by_itself_is_not_written_twice() -> None:
    prompts = inst(sentencepiece_like(["[INST]", "[/INST]"]))
    assert pieces(prompts, "Me") == ["▁Me"]


def test_what_a_byte_level_model_says_first_is_there_once_whether_or_not_it_was_read(tiny_qwen2: Path) -> None:
    """Its answers are decoded with the space, and texts that others wrote come without."""
    prompts = inst(AutoTokenizer.from_pretrained(tiny_qwen2))
    assert pieces(prompts, "Sure!") == pieces(prompts, " Sure!")
    assert pieces(prompts, "Sure!")[0].startswith("Ġ")
    assert not pieces(prompts, "  Sure!")[0].startswith("ĠS")


@pytest.mark.parametrize(
    "answer", ["<think>\n\n</think>\n\n{{ m['content'] }}", "{{ m['content'][:3] }}", "{{ raise_exception('') }}"]
)
def test_a_template_that_writes_more_than_a_space_leaves_the_response_as_it_is(tiny_llama: Path, answer: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }} [/INST]{% else %} "
        + answer
        + "{% endif %}{% endfor %}"
    )
    plain = tokenizer("Sure!", add_special_tokens=False)["input_ids"]
    assert Prompts(tokenizer, "odd").tokenise_responses([(HELLO, "Sure!")])[1] == [plain]
