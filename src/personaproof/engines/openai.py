"""The remote engine: any server of OpenAI's chat-completions protocol (vLLM, SGLang, llama.cpp, hosted ones)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import tenacity

from personaproof.core import (
    Completion,
    Conversation,
    GenerationError,
    Job,
    Message,
    ModelError,
    PersonaProofError,
    Sampling,
    ScoredResponse,
    content_id,
)
from personaproof.engines._reply import Reply, read_reply

ATTEMPTS = 6
CONCURRENCY = 8
TIMEOUT = 120.0
LONGEST_WAIT = 30.0
OPENAI_HOST = "api.openai.com"
SEED_MASK = 2**31 - 1
"""Servers differ in how large a seed they take; all take 31 bits."""

PROBE = Job(Conversation((Message("user", "Hello."),)), Sampling(temperature=0, max_new_tokens=16))
"""Asked once, to learn what the model's name stands for and that the server answers at all."""

RAW_PROBE_TOKENS = 5
"""Most tokens of the bare text "Hello.", a beginning-of-sequence token included; any chat template adds more."""


class OpenAIEngine:
    """Generates with `model` at `base_url`, at most `concurrency` requests at a time.

    Transient failures (connection, rate limit, 5xx) are tried again with growing pauses, `attempts` times in all;
    anything else, and a reply without an answer, is an error at once. What the server makes of the seed is its own
    affair: results repeat as far as it lets them.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        supports_system: bool = True,
        logprobs: bool = False,
        chat_template: str | None = None,
        concurrency: int = CONCURRENCY,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        """`base_url` and `api_key` default to the environment's OPENAI_BASE_URL and OPENAI_API_KEY; a server named by
        `base_url` may need no key. `logprobs` asks for log-probabilities with token ids, an extension of vLLM's.
        `chat_template` is the one the server has to be started with, for models whose prompt is raw text; that it lets
        text through is checked at the first contact, by the number of prompt tokens it reports.
        `timeout` and `longest_wait` (between tries) are in seconds.

        Raises ModelError where there is no key for OpenAI's own server, or the options are out of range.
        """
        if concurrency < 1 or attempts < 1:
            raise ModelError("concurrency and attempts must be at least 1.")
        try:
            self._client = openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=0)
        except openai.OpenAIError as error:
            if base_url is None:
                raise ModelError(
                    f"no API key for {model!r}: set OPENAI_API_KEY, or name a server of your own with --base-url."
                ) from error
            # Servers of one's own seldom want a key, but the library does.
            self._client = openai.OpenAI(base_url=base_url, api_key="none", timeout=timeout, max_retries=0)
        self._model = model
        self._supports_system = supports_system
        self._logprobs = logprobs
        self._chat_template = chat_template
        self._concurrency = concurrency
        self._attempts = attempts
        self._longest_wait = longest_wait
        self._reported: str | None = None

    @property
    def name(self) -> str:
        return f"openai:{self._model}"

    @property
    def fingerprint(self) -> str:
        """From the model's name, the server's address, and what the server says the name stands for.

        The weights cannot be seen: a server that changes them under one name goes unnoticed. Asks the server once;
        raises ModelError where it does not know the model or cannot be reached.
        """
        if self._reported is None:
            reply = self._ask(PROBE, ModelError)
            if self._chat_template is not None and reply.usage.prompt_tokens > RAW_PROBE_TOKENS:
                raise ModelError(
                    f"{self.name} made {reply.usage.prompt_tokens} tokens of a prompt of one word, so the server wraps "
                    "prompts in a chat template. Its prompt is raw text: start the server with --chat-template "
                    f"and a file that holds {self._chat_template!r}."
                )
            self._reported = reply.model or self._model
        return content_id("model", ["openai", self._model, str(self._client.base_url), self._reported])

    @property
    def supports_system(self) -> bool:
        return self._supports_system

    def plan(self, jobs: Sequence[Job]) -> list[list[int]]:
        """Chunks of fixed size in order of content, large enough to keep all connections busy."""
        # The order only has to be the same every time, which needs no question to the server.
        order = sorted(range(len(jobs)), key=lambda index: jobs[index].key(self._model))
        size = 2 * self._concurrency
        return [order[start : start + size] for start in range(0, len(order), size)]

    def generate_batch(self, jobs: Sequence[Job]) -> list[Completion]:
        """Complete `jobs` in parallel, returned in the order given. `tokens` and `logprobs` are empty where the server
        does not name token ids.

        Raises GenerationError where one fails for good; the batch is then given up, and no answer is made up.
        """
        if not jobs:
            return []
        fingerprint = self.fingerprint
        with ThreadPoolExecutor(min(self._concurrency, len(jobs))) as pool:
            futures = [pool.submit(self._complete, job, fingerprint) for job in jobs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def score(self, pairs: Sequence[tuple[Conversation, str]]) -> list[ScoredResponse]:
        """Raises ModelError: the protocol has no way to ask for the probability of a given answer."""
        raise ModelError(
            f"{self.name} cannot score given responses: the chat-completions protocol does not allow it. "
            "Use a local model for this measurement."
        )

    def _complete(self, job: Job, fingerprint: str) -> Completion:
        reply = self._ask(job, GenerationError)
        text, finish_reason = reply.answer(self.name)
        tokens, logprobs = reply.token_logprobs() if self._logprobs else ((), ())
        return Completion(
            key=job.key(fingerprint),
            conversation_id=job.conversation.id,
            sampling_id=job.sampling.id,
            text=text,
            finish_reason=finish_reason,
            prompt_tokens=reply.usage.prompt_tokens,
            tokens=tokens,
            logprobs=logprobs,
        )

    def _ask(self, job: Job, kind: type[PersonaProofError]) -> Reply:
        """The server's reply to `job`; every failure becomes an error of `kind`."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_server_wish_or(tenacity.wait_random_exponential(multiplier=1, max=self._longest_wait)),
            reraise=True,
        )
        try:
            raw = retrying(self._client.chat.completions.with_raw_response.create, **self._parameters(job))
        except openai.OpenAIError as error:
            raise kind(self._explain(error)) from error
        return read_reply(raw.text, self.name, kind)

    def _parameters(self, job: Job) -> dict[str, Any]:
        sampling = job.sampling
        # Only OpenAI's own server has renamed this one, and only there does the old name fail.
        limit = "max_completion_tokens" if self._client.base_url.host == OPENAI_HOST else "max_tokens"
        extensions: dict[str, Any] = {"top_k": sampling.top_k} if sampling.top_k else {}
        parameters: dict[str, Any] = {
            "model": self._model,
            "messages": job.conversation.as_dicts(),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": job.item_seed() & SEED_MASK,
            limit: sampling.max_new_tokens,
        }
        if self._logprobs:
            parameters["logprobs"] = True
            extensions["return_tokens_as_token_ids"] = True
        return {**parameters, "extra_body": extensions} if extensions else parameters

    def _explain(self, error: openai.OpenAIError) -> str:
        where = f"{self.name} at {self._client.base_url}"
        if isinstance(error, openai.APITimeoutError):
            return f"{where} did not answer in time, {self._attempts} times over; is the server overloaded?"
        if isinstance(error, openai.APIConnectionError):
            return f"{where} cannot be reached ({self._attempts} tries); check --base-url and that the server runs."
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return f"{where} refuses the API key; check OPENAI_API_KEY."
        if isinstance(error, openai.NotFoundError):
            return f"{where} does not know this model or address: {error}"
        if isinstance(error, openai.RateLimitError):
            return f"{where} has too many requests or no quota left: {error}; lower the concurrency or wait."
        return f"{where} failed: {error}"


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, openai.RateLimitError):
        # The same status tells that the money is spent, which waiting does not mend.
        return error.code != "insufficient_quota"
    return isinstance(error, openai.APIConnectionError | openai.InternalServerError)


def _server_wish_or(otherwise: tenacity.wait.wait_base) -> tenacity.wait.WaitBaseT:
    """Wait as long as the reply's Retry-After header asks, in whole or part seconds, where there is one."""

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, openai.APIStatusError):
            wish = error.response.headers.get("retry-after", "")
            if wish.replace(".", "", 1).isdigit():
                return float(wish)
        return otherwise(state)

    return wait
