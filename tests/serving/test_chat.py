"""Chat completions: what is answered, what is refused, and how streams look."""

from typing import Any

import pytest

from palikit.serving.chat_told import ChatTold, Models
from palikit.serving.jobs import DeadlineError, DrainingError, ModelFailedError
from palikit.serving.writing import StopCutter
from tests.serving.made import TEXT, FakeScheduler, asked, data_uri, events_of, fake_client, png

CHAT = "/v1/chat/completions"


def refused(body: dict[str, Any], scheduler: FakeScheduler | None = None) -> dict[str, Any]:
    answer = fake_client(scheduler).post(CHAT, json=body)
    assert answer.status_code >= 400
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return {**error, "status": answer.status_code}


def test_an_answer_has_the_shape_of_openai() -> None:
    answer = fake_client().post(CHAT, json=asked("caption en")).json()
    ChatTold.model_validate(answer)
    choice = answer["choices"][0]
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "fake"
    assert choice["message"]["content"] == TEXT
    assert choice["finish_reason"] == "stop"
    # Two words, <bos>, newline and four of the picture; three words and the end.
    assert answer["usage"] == {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12}


@pytest.mark.parametrize(("reason", "told"), [("length", "length"), ("repeat", "stop")])
def test_finish_reasons_are_those_that_openai_knows(reason: str, told: str) -> None:
    client = fake_client(FakeScheduler(finish_reason=reason))
    assert client.post(CHAT, json=asked()).json()["choices"][0]["finish_reason"] == told


def test_the_prompt_reaches_the_model_word_for_word() -> None:
    scheduler = FakeScheduler()
    fake_client(scheduler).post(CHAT, json=asked("  What's <loc0001> here?\nSay."))
    task = scheduler.jobs[0].request.task
    assert task.prompt == "  What's <loc0001> here?\nSay."
    assert not task.allow_special


def test_a_system_text_stands_before_the_users() -> None:
    scheduler = FakeScheduler()
    body = asked("what is this?")
    body["messages"].insert(0, {"role": "system", "content": "answer de"})
    fake_client(scheduler).post(CHAT, json=body)
    task = scheduler.jobs[0].request.task
    assert (task.name, task.prompt) == ("answer", "answer de what is this?")


def test_a_prompt_of_detect_is_answered_with_boxes_too() -> None:
    answer = fake_client().post(CHAT, json=asked("detect cat ; dog")).json()
    record = answer["choices"][0]["message"]["palikit"]
    assert [each["label"] for each in record["result"]["objects"]] == ["cat", "dog"]
    assert record["model"] == "fake"


def test_an_address_may_stand_for_its_object() -> None:
    body = asked()
    body["messages"][0]["content"][0] = {"type": "image_url", "image_url": data_uri()}
    assert fake_client().post(CHAT, json=body).status_code == 200


def test_pictures_keep_their_order() -> None:
    scheduler = FakeScheduler()
    body = asked("what has changed?")
    second = {"type": "image_url", "image_url": {"url": data_uri(png(30, 20))}}
    body["messages"][0]["content"].insert(1, second)
    fake_client(scheduler).post(CHAT, json=body)
    assert [each.size for each in scheduler.jobs[0].request.pictures] == [(12, 9), (30, 20)]


def test_options_of_sampling_reach_the_model() -> None:
    scheduler = FakeScheduler()
    body = asked(temperature=0.7, top_p=0.9, top_k=5, seed=11, max_completion_tokens=9, n=2)
    answer = fake_client(scheduler).post(CHAT, json=body).json()
    options = [each.options for each in scheduler.jobs]
    assert [each.seed for each in options] == [11, 12]
    assert options[0].temperature == 0.7
    assert (options[0].top_p, options[0].top_k, options[0].max_new_tokens) == (0.9, 5, 9)
    assert [each["index"] for each in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] == 8


def test_without_options_the_likeliest_text_is_written() -> None:
    scheduler = FakeScheduler()
    fake_client(scheduler).post(CHAT, json=asked())
    options = scheduler.jobs[0].options
    assert (options.temperature, options.max_new_tokens, options.grammar) == (0, 256, True)


def test_log_probabilities_are_those_of_the_tokens_without_the_end() -> None:
    body = asked(logprobs=True, top_logprobs=1)
    tokens = fake_client().post(CHAT, json=body).json()["choices"][0]["logprobs"]["content"]
    assert [each["token"] for each in tokens] == ["one", " two", " three"]
    assert [each["logprob"] for each in tokens] == [-0.5] * 3
    assert bytes(tokens[1]["bytes"]).decode() == " two"
    assert [each["top_logprobs"][0]["token"] for each in tokens] == ["one", " two", " three"]


@pytest.mark.parametrize("stop", [" three", [" x", "o th"], ["two three", " two"]])
def test_text_ends_before_a_stop_text(stop: Any) -> None:
    scheduler = FakeScheduler()
    choice = fake_client(scheduler).post(CHAT, json=asked(stop=stop)).json()["choices"][0]
    first = min(
        TEXT.find(each) for each in ([stop] if isinstance(stop, str) else stop) if each in TEXT
    )
    assert choice["message"]["content"] == TEXT[:first]
    assert choice["finish_reason"] == "stop"
    assert scheduler.tickets[0].is_cancelled
    assert "palikit" not in choice["message"]


def test_scores_end_with_a_stopped_text() -> None:
    body = asked(stop=" three", logprobs=True)
    choice = fake_client().post(CHAT, json=body).json()["choices"][0]
    assert [each["token"] for each in choice["logprobs"]["content"]] == ["one", " two"]


def test_a_stop_text_is_found_across_pieces() -> None:
    cutter = StopCutter(["abc", "bx"])
    assert [cutter.push(each) for each in ("xa", "b", "ab", "c!")] == ["x", "", "ab", ""]
    assert cutter.is_stopped
    assert cutter.flush() == ""


def test_what_only_began_as_a_stop_text_is_sent_at_the_end() -> None:
    cutter = StopCutter(["abc"])
    assert cutter.push("xab") + cutter.flush() == "xab"


def test_a_stream_is_the_same_text_in_pieces() -> None:
    answer = fake_client().post(CHAT, json=asked(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    chunks = [each["choices"][0] for each in events_of(answer.text)]
    assert chunks[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(each["delta"].get("content", "") for each in chunks) == TEXT
    assert [each["finish_reason"] for each in chunks] == [None] * 4 + ["stop"]
    assert {each["object"] for each in events_of(answer.text)} == {"chat.completion.chunk"}


def test_a_stream_ends_with_its_usage_where_asked() -> None:
    body = asked(stream=True, stream_options={"include_usage": True})
    *rest, last = events_of(fake_client().post(CHAT, json=body).text)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 12
    assert all(each["usage"] is None for each in rest)


def test_a_stream_of_several_choices_names_each() -> None:
    body = asked(stream=True, n=3, logprobs=True)
    chunks = [each["choices"][0] for each in events_of(fake_client().post(CHAT, json=body).text)]
    for index in range(3):
        own = [each for each in chunks if each["index"] == index]
        assert "".join(each["delta"].get("content", "") for each in own) == TEXT
        assert own[-1]["finish_reason"] == "stop"
        assert len(own[-1]["logprobs"]["content"]) == 3


def test_a_stream_ends_before_a_stop_text() -> None:
    body = asked(stream=True, stop="two")
    chunks = [each["choices"][0] for each in events_of(fake_client().post(CHAT, json=body).text)]
    assert "".join(each["delta"].get("content", "") for each in chunks) == "one "


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"store": True}, "store"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"best_of": 3}, "best_of"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 5}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 1, "temperature": 1}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 1_000_000}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"temperature": "warm"}, "temperature"),
        ({"messages": []}, "messages"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"model": None}, "model"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(more: dict[str, Any], param: str | None) -> None:
    scheduler = FakeScheduler()
    error = refused(asked(**more), scheduler)
    assert error["status"] == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert not scheduler.jobs


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}},
        {"user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "store": False},
        {"n": None, "stop": None, "stream": None, "temperature": None, "max_tokens": None},
    ],
    ids=str,
)
def test_what_asks_for_nothing_special_is_taken(more: dict[str, Any]) -> None:
    assert fake_client().post(CHAT, json=asked(**more)).status_code == 200


PICTURE = {"type": "image_url", "image_url": {"url": data_uri()}}


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"role": "user", "content": [PICTURE]},
            {"role": "assistant", "content": "a cat"},
            {"role": "user", "content": "and now?"},
        ],
        [{"role": "user", "content": [PICTURE]}, {"role": "user", "content": "caption en"}],
        [{"role": "system", "content": "caption en"}],
        [{"role": "user", "content": "caption en"}],
        [{"role": "user", "content": None}],
        [{"role": "system", "content": [PICTURE]}, {"role": "user", "content": [PICTURE]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        [{"role": "user", "content": [PICTURE], "tool_calls": []}],
        [{"role": "wizard", "content": [PICTURE]}],
        [{"role": "user", "content": [{**PICTURE, "image_url": {"url": "", "detail": "high"}}]}],
    ],
    ids=["conversation", "two turns", "system only", "no picture", "no content", "system picture",
         "audio", "tool calls", "unknown role", "detail"],
)  # fmt: skip
def test_messages_that_are_no_prompt_are_refused(messages: list[dict[str, Any]]) -> None:
    error = refused({"model": "fake", "messages": messages})
    assert error["status"] == 400
    assert error["message"]
    assert error["param"].startswith("messages") or error["code"] == "unknown_parameter"


@pytest.mark.parametrize(
    ("part", "param", "said"),
    [
        (
            {**PICTURE, "image_url": {"url": "", "detail": "high"}},
            "messages.0.content.0.image_url.detail",
            "pictures are taken in one size; leave it out, or give auto",
        ),
        ({"type": "text", "text": 5}, "messages.0.content.0.text", "must be a text"),
        ({"type": "text"}, "messages.0.content.0.text", "is missing"),
        ({"type": "image_url", "image_url": 5}, "messages.0.content.0.image_url",
         "must be an object or a text"),
        ({"type": "sound"}, "messages.0.content.0",
         "must be an object whose type is 'text' or 'image_url'"),
        ({"text": "a"}, "messages.0.content.0", "must be an object with a type"),
        ({**PICTURE, "size": 5}, "size", "there is no parameter 'size' here"),
        ({"type": "text", "text": "a", "size": 5}, "size", "there is no parameter 'size' here"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_part_of_a_message_is_named_in_a_sentence(
    part: dict[str, Any], param: str, said: str
) -> None:
    error = refused({"model": "fake", "messages": [{"role": "user", "content": [part]}]})
    assert error["param"] == param
    assert error["message"].endswith(said)


def test_a_field_of_several_kinds_is_told_all_of_them() -> None:
    error = refused({"model": "fake", "messages": [{"role": "user", "content": 5}]})
    assert error["message"] == "messages.0.content must be a text or a list"
    error = refused({"model": "fake", "messages": []})
    assert error["message"] == "messages must be a list of 1 or more"


def test_a_prompt_that_is_too_long_is_in_the_messages() -> None:
    assert refused(asked("word " * 600))["param"] == "messages"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_called_json_is_of_another_kind(kind: str) -> None:
    answer = fake_client().post(CHAT, content=b"{x", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "media_type")
    assert fake_client().post(CHAT, content=b"{}").status_code == 415
    told = fake_client().post(CHAT, json=[]).json()["error"]
    assert told["message"] == "the body must be an object"


def test_another_model_is_not_found() -> None:
    error = refused(asked(model="gpt-4o"))
    assert (error["status"], error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fails", "status", "code"),
    [
        (DeadlineError("late"), 504, "deadline"),
        (ModelFailedError("/secret/path exploded"), 500, "model_failed"),
        (DrainingError("stopping"), 503, "draining"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_failures_of_the_scheduler_have_their_status(
    fails: Any, status: int, code: str, *, stream: bool
) -> None:
    error = refused(asked(stream=stream), FakeScheduler(fails=fails))
    assert (error["status"], error["code"]) == (status, code)
    assert "secret" not in error["message"]


def test_a_full_queue_says_when_to_come_again() -> None:
    answer = fake_client(FakeScheduler(is_full=True)).post(CHAT, json=asked())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    scheduler = FakeScheduler(holds=True)
    answer = fake_client(scheduler, request_timeout=0.2).post(CHAT, json=asked())
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
    assert scheduler.tickets[0].is_cancelled


def test_the_model_is_listed() -> None:
    client = fake_client()
    listed = client.get("/v1/models").json()
    Models.model_validate(listed)
    assert [each["id"] for each in listed["data"]] == ["fake"]
    assert client.get("/v1/models/fake").json() == listed["data"][0]
    assert client.get("/v1/models/gpt-4o").status_code == 404
