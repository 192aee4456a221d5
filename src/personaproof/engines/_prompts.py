"""From conversations to prompt tokens, through the model's own chat template, and nothing but it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import jinja2

from personaproof.core import Conversation, Message, ModelError

TEMPLATE_DATE = datetime.datetime(2024, 7, 26)
"""What a template that prints today's date is told. The same conversation must render to the same prompt tomorrow, or
a resumed run would mix two prompts under one key."""
TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")

PROBE = "Zq7 is your name."
PAGE = 4096
"""Conversations whose texts are held at once while a long work list is tokenised."""


class Prompts:
    """Renders and tokenises prompts, and turns tokens back into text.

    Raises ModelError where the tokenizer has no chat template, or one that cannot render a plain user message.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self.tokenizer = tokenizer
        self._name = name
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"{name!r} has no chat template, so there is no telling how to put a persona before it. Use an "
                "instruction-tuned (chat) model, or set `chat_template` in its tokenizer_config.json."
            )
        self.template = TODAY.sub(
            lambda call: repr(TEMPLATE_DATE.strftime(call[2])), str(tokenizer.get_chat_template())
        )
        """The model's own, but that its date stands still; for `apply_chat_template`, with `template_variables`."""
        self.template_variables = {"date_string": TEMPLATE_DATE.strftime("%d %b %Y")}
        self.render(Conversation((Message("user", PROBE),)))
        self.supports_system = self._keeps_system_message()
        self._opening, self._opening_is_read = self._find_opening()

    def render(self, conversation: Conversation) -> str:
        """The prompt's text, special tokens and the opening of the assistant's turn included."""
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    conversation.as_dicts(),
                    chat_template=self.template,
                    tokenize=False,
                    add_generation_prompt=True,
                    **self.template_variables,
                )
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError) as error:
            roles = ", ".join(message.role for message in conversation.messages)
            raise ModelError(
                f"the chat template of {self._name!r} cannot render the roles {roles}: {error}. "
                "If it has no system role, use --framing user."
            ) from error

    def tokenise(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """Prompt tokens, each conversation's in order. The template writes BOS itself where the model wants one, so the
        tokenizer must not add a second."""
        tokens: list[list[int]] = []
        for start in range(0, len(conversations), PAGE):
            texts = [self.render(conversation) for conversation in conversations[start : start + PAGE]]
            tokens += self._encode(texts)
        return tokens

    def tokenise_responses(self, pairs: Sequence[tuple[Conversation, str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Prompt tokens and response tokens of `pairs`.

        The response is tokenised where it stands, after the prompt's text and any whitespace that the template opens
        answers with, as SentencePiece-like tokenizers treat the start of a text specially. Where the two would merge
        into one token across the boundary, which generation can never produce, the response is tokenised alone.
        """
        rendered = [self.render(conversation) for conversation, _ in pairs]
        prompts = self._encode(rendered)
        joint = self._encode(
            [text + self._opened(response) for text, (_, response) in zip(rendered, pairs, strict=True)]
        )
        alone = self._encode([response for _, response in pairs])
        responses = [
            whole[len(prompt) :] if whole[: len(prompt)] == prompt else own
            for prompt, whole, own in zip(prompts, joint, alone, strict=True)
        ]
        return prompts, responses

    def decode(self, tokens: Sequence[int]) -> str:
        """The text a reader sees: special tokens left out."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _opened(self, response: str) -> str:
        """The response from where the model begins to produce it. One that was read with the opening has it already."""
        if not response or (self._opening_is_read and response.startswith(self._opening)):
            return response
        return self._opening + response

    def _find_opening(self) -> tuple[str, bool]:
        """Whitespace that the template writes between a prompt and its answer, as templates that end in `[/INST]` do,
        so that the model produces it first; and whether it is still there when the answer is decoded.

        Anything else that is written there, such as thoughts, is the model's own to produce or leave out.
        """
        asked = Conversation((Message("user", PROBE),))
        prompt = self.render(asked)
        try:
            turn = self.tokenizer.apply_chat_template(
                [*asked.as_dicts(), {"role": "assistant", "content": PROBE}],
                chat_template=self.template,
                tokenize=False,
                **self.template_variables,
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError):
            return "", False
        opening = turn[len(prompt) :].partition(PROBE)[0]
        if not turn.startswith(prompt + opening + PROBE) or not opening.isspace():
            return "", False
        before, bare, opened = self._encode([prompt, prompt + PROBE, prompt + opening + PROBE])
        # Some tokenizers write a space of their own behind a special token, which does for the template's.
        if self.tokenizer.decode(bare, clean_up_tokenization_spaces=False).endswith(opening + PROBE):
            return "", False
        return opening, self.decode(opened[len(before) :]).startswith(opening)

    def _keeps_system_message(self) -> bool:
        """Some templates raise on a system message and some drop it in silence; neither can carry a persona."""
        try:
            text = self.render(Conversation((Message("system", PROBE), Message("user", "Hello."))))
        except ModelError:
            return False
        return PROBE in text
