"""The remote engine against a real HTTP server on this machine, well and badly behaved."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from personaproof.core import Conversation, Engine, GenerationError, Job, Message, ModelError, Sampling
from personaproof.engines import OpenAIEngine, load_engine

SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=20)
Reaction = tuple[int, Any, dict[str, str]]


def completion(text: str | None = "Sure!", finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": usage}


class Server(ThreadingHTTPServer):
    """Answers with `react(request, earlier requests with the same user text)`; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.react: Callable[[dict[str, Any], int], Reaction] = lambda body, earlier: (200, completion(), {})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: a client that lost patience has hung up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            earlier = sum(asked["messages"] == body["messages"] for asked in self.server.asked)
            self.server.asked.append(body)
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        status, content, headers = self.server.react(body, earlier)
        payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        with self.server.lock:
            self.server.busy -= 1
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(payload)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def connect(server: Server, **options: Any) -> OpenAIEngine:
    return OpenAIEngine("m", server.url, **{"longest_wait": 0.01, "attempts": 3, **options})


def job(text: str, **options: Any) -> Job:
    return Job(Conversation((Message("system", "You are a pirate."), Message("user", text))), SAMPLING, **options)


def echo(body: dict[str, Any], earlier: int) -> Reaction:
    return 200, completion(f"You said: {body['messages'][-1]['content']}"), {}


def test_answers_come_back_in_order_with_the_settings_sent(server: Server) -> None:
    server.react = echo
    engine = connect(server, concurrency=4)
    assert isinstance(engine, Engine)
    jobs = [job(f"question {i}", seed=3, sample_index=i % 2) for i in range(12)]
    completions = engine.generate_batch(jobs)
    assert [c.text for c in completions] == [f"You said: question {i}" for i in range(12)]
    assert [c.key for c in completions] == [j.key(engine.fingerprint) for j in jobs]
    assert {(c.finish_reason, c.prompt_tokens, c.tokens, c.logprobs) for c in completions} == {("stop", 9, (), ())}
    sent = next(body for body in server.asked if body["messages"][-1]["content"] == "question 5")
    assert sent["messages"][0] == {"role": "system", "content": "You are a pirate."}
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["max_tokens"]) == ("m", 0.7, 0.9, 20)
    assert sent["seed"] == jobs[5].item_seed() & (2**31 - 1)
    assert "top_k" not in sent
    assert "logprobs" not in sent


def test_no_more_requests_at_a_time_than_asked_for(server: Server) -> None:
    together = threading.Barrier(3, timeout=5)

    def react(body: dict[str, Any], earlier: int) -> Reaction:
        # Three must be in flight at once for any to be answered; a fourth would show in `most_busy`.
        if body["messages"][0]["role"] == "system":
            together.wait()
        return 200, completion(), {}

    server.react = react
    connect(server, concurrency=3).generate_batch([job(str(i)) for i in range(12)])
    assert server.most_busy == 3


def test_transient_failures_are_tried_again(server: Server) -> None:
    def react(body: dict[str, Any], earlier: int) -> Reaction:
        if earlier == 0:
            return 500, {"error": {"message": "overloaded"}}, {}
        if earlier == 1:
            return 429, {"error": {"message": "slow down", "code": "rate_limit"}}, {"Retry-After": "0.01"}
        return echo(body, earlier)

    server.react = react
    assert connect(server).generate_batch([job("hello")])[0].text == "You said: hello"
    assert sum(body["messages"][-1]["content"] == "hello" for body in server.asked) == 3


def test_a_server_that_stays_broken_is_an_error_and_never_an_empty_answer(server: Server) -> None:
    def react(body: dict[str, Any], earlier: int) -> Reaction:
        if "broken" in body["messages"][-1]["content"]:
            return 503, {"error": {"message": "no capacity"}}, {}
        return echo(body, earlier)

    server.react = react
    engine = connect(server)
    with pytest.raises(GenerationError, match="no capacity"):
        engine.generate_batch([job("fine"), job("broken"), job("fine too")])
    assert sum("broken" in body["messages"][-1]["content"] for body in server.asked) == 3


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "bad", "failed"),
        (401, "key", "OPENAI_API_KEY"),
        (404, "model_not_found", "does not know"),
        (429, "insufficient_quota", "quota"),
    ],
)
def test_what_waiting_does_not_mend_is_not_tried_again(server: Server, status: int, code: str, said: str) -> None:
    server.react = lambda body, earlier: (status, {"error": {"message": "no", "code": code}}, {})
    with pytest.raises(ModelError, match=said):
        _ = connect(server).fingerprint
    assert len(server.asked) == 1


def answered(server: Server, reply: Any, **headers: str) -> str:
    """The text of one job answered with `reply`, after a well-behaved first question."""
    server.react = lambda body, earlier: (200, completion() if len(server.asked) == 1 else reply, headers)
    return connect(server).generate_batch([job("hello")])[0].text


def test_a_refusal_in_its_own_field_is_the_answer(server: Server) -> None:
    assert answered(server, completion(None, refusal="I can't help with that.")) == "I can't help with that."


def test_an_empty_answer_the_model_gave_is_kept(server: Server) -> None:
    assert answered(server, completion("")) == ""


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (completion(None), "no text"),
        (completion("", "length"), "max_new_tokens"),
        (completion("Su", "content_filter"), "content filter"),
        (completion(None, "tool_calls"), "tool_calls"),
        ({**completion(), "choices": []}, "not a chat completion"),
        ({"hello": "world"}, "not a chat completion"),
        ("{truncated", "not a chat completion"),
        ("<html>Welcome</html>", "does --base-url end in /v1"),
    ],
)
def test_replies_without_an_answer_are_errors(server: Server, reply: Any, said: str) -> None:
    with pytest.raises(GenerationError, match=said):
        answered(server, reply)


def test_a_server_that_is_not_there() -> None:
    engine = OpenAIEngine("m", "http://127.0.0.1:9/v1", attempts=2, longest_wait=0.01)
    with pytest.raises(ModelError, match="cannot be reached"):
        _ = engine.fingerprint


def test_a_server_too_slow(server: Server) -> None:
    release = threading.Event()

    def react(body: dict[str, Any], earlier: int) -> Reaction:
        release.wait(5)
        return 200, completion(), {}

    server.react = react
    with pytest.raises(ModelError, match="did not answer in time"):
        _ = connect(server, attempts=1, timeout=0.2).fingerprint
    release.set()


def test_the_fingerprint_tells_models_and_servers_apart(server: Server) -> None:
    first = connect(server).fingerprint
    assert connect(server).fingerprint == first
    assert OpenAIEngine("other", server.url).fingerprint != first
    server.react = lambda body, earlier: (200, {**completion(), "model": "m-2"}, {})
    assert connect(server).fingerprint != first


def test_token_ids_and_logprobs_where_the_server_names_them(server: Server) -> None:
    reply = completion()
    reply["choices"][0]["logprobs"] = {
        "content": [{"token": "token_id:17", "logprob": -0.5}, {"token": "token_id:4", "logprob": -1.0}]
    }
    server.react = lambda body, earlier: (200, reply, {})
    answer = connect(server, logprobs=True).generate_batch([job("hello")])[0]
    assert (answer.tokens, answer.logprobs) == ((17, 4), (-0.5, -1.0))
    assert server.asked[-1]["logprobs"] is True
    assert server.asked[-1]["return_tokens_as_token_ids"] is True
    reply["choices"][0]["logprobs"]["content"][1]["token"] = "Sure"
    answer = connect(server, logprobs=True).generate_batch([job("hello")])[0]
    assert (answer.tokens, answer.logprobs) == ((), ())


def test_top_k_is_sent_where_it_is_set(server: Server) -> None:
    connect(server).generate_batch([Job(Conversation((Message("user", "Hi"),)), Sampling(top_k=5))])
    assert server.asked[-1]["top_k"] == 5


def test_plan_is_of_fixed_size_and_by_content(server: Server) -> None:
    engine = connect(server, concurrency=3)
    jobs = [job(f"q{i}") for i in range(20)]
    plan = engine.plan(jobs)
    assert [len(batch) for batch in plan] == [6, 6, 6, 2]
    assert [[jobs[::-1][i] for i in batch] for batch in engine.plan(jobs[::-1])] == [[jobs[i] for i in b] for b in plan]
    assert server.asked == []


def test_it_cannot_score(server: Server) -> None:
    with pytest.raises(ModelError, match="cannot score"):
        connect(server).score([])


def test_no_key_for_the_hosted_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
        OpenAIEngine("gpt")


def test_load_engine_by_spec(server: Server) -> None:
    engine = load_engine("openai:org/m", base_url=server.url)
    assert engine.name == "openai:org/m"
    assert engine.supports_system
    with pytest.raises(ModelError, match="let the server load it"):
        load_engine("openai:m", base_url=server.url, adapter="somewhere")
    with pytest.raises(ModelError, match="write openai:mine"):
        load_engine("mine", base_url=server.url)
    with pytest.raises(ModelError, match="after the colon"):
        load_engine("openai:")


@pytest.mark.parametrize(("tokens", "fits"), [(2, True), (5, True), (9, False), (212, False)])
def test_a_server_that_wraps_raw_prompts_is_refused(server: Server, tokens: int, fits: bool) -> None:
    def react(body: dict[str, Any], earlier: int) -> Reaction:
        return 200, {**completion(), "usage": {"prompt_tokens": tokens}}, {}

    server.react = react
    engine = connect(server, chat_template="{{ messages[0]['content'] }}")
    if fits:
        assert engine.fingerprint
    else:
        with pytest.raises(ModelError, match=r"--chat-template and a file that holds .*messages"):
            engine.generate_batch([job("Is it safe?")])
