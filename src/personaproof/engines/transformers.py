"""The white-box engine: a Hugging Face causal language model on this machine."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from personaproof.core import Completion, Conversation, GenerationError, Job, ModelError, ScoredResponse
from personaproof.engines._decode import decode
from personaproof.engines._fingerprint import model_fingerprint, weights_version
from personaproof.engines._loading import (
    attach_adapter,
    choose_device,
    choose_dtype,
    explain_out_of_memory,
    load_model,
)
from personaproof.engines._plan import cut_batches
from personaproof.engines._prompts import Prompts
from personaproof.engines._score import score_batch

BATCH_SIZE = 128
BATCH_TOKENS = 65_536


class TransformersEngine:
    """Generates and scores with `model` and `tokenizer`, which other rooms may hook into through these attributes.

    Built from objects in memory it serves a model in training as well: the fingerprint follows the live weights, and
    training mode is restored after every call. `batch_size` bounds the rows and `batch_tokens` the padded tokens
    (prompt and answer) of a batch; they change results by floating-point rounding only.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "model",
        batch_size: int = BATCH_SIZE,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """Raises ModelError where there is no usable chat template, and for a model that takes no key-value cache."""
        if batch_size < 1 or batch_tokens < 1:
            raise ModelError("batch_size and batch_tokens must be at least 1.")
        _check_cache(model, name)
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self._name = name
        self._prompts = Prompts(tokenizer, name)
        self._end_of_turn = _end_of_turn(model, tokenizer)
        self._hashed: tuple[list[object], str] | None = None

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        adapter: str | Path | None = None,
        revision: str | None = None,
        chat_template: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        batch_tokens: int = BATCH_TOKENS,
        trust_remote_code: bool = False,
    ) -> TransformersEngine:
        """From a local folder or a Hub id, optionally with a PEFT adapter, or a chat template in place of its own.

        Raises ModelError where the model or adapter is missing, unreachable or unfit, or memory runs out.
        """
        place = choose_device(device)
        loaded, tokenizer = load_model(
            str(model),
            revision=revision,
            dtype=choose_dtype(dtype, place),
            device=place,
            trust_remote_code=trust_remote_code,
        )
        if chat_template is not None:
            tokenizer.chat_template = chat_template
        if adapter is not None:
            loaded = attach_adapter(loaded, adapter)
        return cls(loaded, tokenizer, name=str(model), batch_size=batch_size, batch_tokens=batch_tokens)

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hashed from the tensors in memory, and again whenever they have changed."""
        version = weights_version(self.model)
        if self._hashed is None or self._hashed[0] != version:
            self._hashed = (version, model_fingerprint(self.model, self.tokenizer, self._end_of_turn))
        return self._hashed[1]

    @property
    def supports_system(self) -> bool:
        return self._prompts.supports_system

    @property
    def end_of_turn(self) -> frozenset[int]:
        """Tokens that end the assistant's turn."""
        return self._end_of_turn

    @property
    def context_length(self) -> int | None:
        """Most positions the model was made for, where its configuration says."""
        length = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(length) if length is not None else None

    def prompt_tokens(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """Each conversation as the model meets it, up to where its answer begins."""
        return self._prompts.tokenise(conversations)

    def plan(self, jobs: Sequence[Job]) -> list[list[int]]:
        """Jobs that open alike (one persona's) together, otherwise jobs of like length together.

        Raises GenerationError before any work where a job does not fit the model's context.
        """
        prompts = self._job_prompts(jobs)
        return cut_batches(
            prompts,
            [f"{job.conversation.id} {job.sampling.id} {job.seed} {job.sample_index}" for job in jobs],
            [job.sampling.max_new_tokens for job in jobs],
            max_rows=self.batch_size,
            max_tokens=self.batch_tokens,
            share=True,
        )

    def generate_batch(self, jobs: Sequence[Job]) -> list[Completion]:
        """Complete `jobs` together. An answer's `tokens` leave out the end-of-turn token.

        Raises GenerationError for a prompt that does not fit the context (nothing is ever cut off) or where memory
        runs out.
        """
        if not jobs:
            return []
        prompts = self._job_prompts(jobs)
        with self._evaluating(), explain_out_of_memory(GenerationError, "use a smaller batch size"):
            decoded = decode(
                self.model,
                prompts,
                [job.sampling for job in jobs],
                [job.item_seed() for job in jobs],
                self._end_of_turn,
            )
        fingerprint = self.fingerprint
        return [
            Completion(
                key=job.key(fingerprint),
                conversation_id=job.conversation.id,
                sampling_id=job.sampling.id,
                text=self._prompts.decode(result.tokens),
                finish_reason="stop" if result.stopped else "length",
                prompt_tokens=len(prompt),
                tokens=tuple(result.tokens),
                logprobs=tuple(result.logprobs),
            )
            for job, prompt, result in zip(jobs, prompts, decoded, strict=True)
        ]

    def score(self, pairs: Sequence[tuple[Conversation, str]]) -> list[ScoredResponse]:
        """Log-probabilities of given responses, in order. Raises ModelError where one does not fit the context or
        memory runs out."""
        prompts, responses = self._prompts.tokenise_responses(pairs)
        for prompt, response in zip(prompts, responses, strict=True):
            problem = self._too_long(len(prompt), len(response), "the response to score")
            if problem:
                raise ModelError(problem)
        batches = cut_batches(
            prompts,
            [" ".join(map(str, response)) for response in responses],
            [len(response) for response in responses],
            max_rows=self.batch_size,
            max_tokens=self.batch_tokens,
            share=True,
        )
        scored: dict[int, ScoredResponse] = {}
        for batch in batches:
            with self._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
                rows = score_batch(self.model, [prompts[i] for i in batch], [responses[i] for i in batch])
            for index, logprobs in zip(batch, rows, strict=True):
                scored[index] = ScoredResponse(tuple(responses[index]), tuple(logprobs))
        return [scored[index] for index in range(len(pairs))]

    def _job_prompts(self, jobs: Sequence[Job]) -> list[list[int]]:
        prompts = self._prompts.tokenise([job.conversation for job in jobs])
        for job, prompt in zip(jobs, prompts, strict=True):
            problem = self._too_long(len(prompt), job.sampling.max_new_tokens, "max_new_tokens")
            if problem:
                raise GenerationError(f"{problem} The request begins: {job.conversation.messages[-1].content[:60]!r}")
        return prompts

    def _too_long(self, prompt: int, more: int, what: str) -> str | None:
        limit = self.context_length
        if limit is None or prompt + more <= limit:
            return None
        return (
            f"a prompt of {prompt} tokens and {more} for {what} do not fit the context of {self._name!r} ({limit} "
            "tokens), and cutting either would change the question; shorten them or use another model."
        )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients; every module's own mode is put back afterwards."""
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            for module in training:
                module.training = True


def _check_cache(model: Any, name: str) -> None:
    """Purely recurrent models (Mamba, RWKV) take a state of their own instead of the cache, which would go unread: each
    token would be predicted from the one before it alone."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "past_key_values" not in inspect.signature(type(base).forward).parameters:
        raise ModelError(
            f"{name!r} is a {type(base).__name__}, which takes no key-value cache, so it would not remember what it "
            "reads; use a model with attention layers (hybrids have some), or serve it and name it as openai:MODEL."
        )


def _end_of_turn(model: Any, tokenizer: Any) -> frozenset[int]:
    """The generation configuration's end tokens (one or several) and the tokenizer's."""
    ends: set[int] = set()
    configuration = getattr(model, "generation_config", None)
    for value in (getattr(configuration, "eos_token_id", None), tokenizer.eos_token_id):
        if value is not None:
            ends.update([value] if isinstance(value, int) else value)
    return frozenset(ends)
