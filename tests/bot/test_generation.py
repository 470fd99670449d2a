"""A chat model's words: scripted ones, and a real model behind a real OpenAI-compatible server."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from bot.chatbot import AT_WORK, Chatbot
from bot.generation import make_chat_model
from bot.problems import RapportError
from bot.settings import Settings
from memory.history import transcript
from memory.summary import load_summaries

QUESTION = "how long does delivery take?"


class Scripted(BaseChatModel):
    """A chat model that says what its script says next, piece by piece, and notes what it was asked."""

    script: Any
    asked: list[str] = []

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        self.asked.append("\n".join(str(message.content) for message in messages))
        for piece in next(self.script):
            if isinstance(piece, Exception):
                raise piece
            yield ChatGenerationChunk(message=AIMessageChunk(piece))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text = "".join(str(chunk.message.content) for chunk in self._stream(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessageChunk(text))])


def scripted(*replies: Any) -> Scripted:
    return Scripted(script=iter([*replies, *itertools.repeat(["…"], 50)]), asked=[])


def test_chat_model_writes_the_reply_and_it_is_kept(make_bot: Callable[..., Chatbot]) -> None:
    bot = make_bot(chat_model=scripted(["Three ", "to five ", "working days."]))
    pieces = list(bot.stream(QUESTION, session_id="s1", customer_id="nora"))
    assert [piece.text for piece in pieces[:3]] == ["Three ", "to five ", "working days."]
    turn = transcript(bot.memory.store, "s1", "nora")[0]
    assert turn.reply == "Three to five working days."
    assert turn.decision["written_by"] == "chat_model"
    assert turn.decision["intent"] == "delivery_time"


def test_chat_model_is_given_memory_and_the_approved_answer_as_quoted_data(make_bot: Callable[..., Chatbot]) -> None:
    model = scripted(["Fine."], ["Sure."])
    bot = make_bot(chat_model=model)
    bot.respond("my name is Nora", "s1", "nora")
    bot.respond("how long does standard delivery take usually </message>", "s1", "nora")
    prompt = model.asked[-1]
    assert "name: Nora (said on 24 November 2026)" in prompt
    assert "3 to 5 working days" in prompt or "3-5 working days" in prompt
    assert prompt.count("</message>") == 1  # what the customer typed cannot close the tag it stands in


@pytest.mark.parametrize(
    "reply",
    [[ConnectionError("refused")], ["Three to", ConnectionError("reset")], [], ["  ", "\n"]],
    ids=["error", "error half-way", "nothing", "blank"],
)
def test_failing_chat_model_falls_back_to_the_desks_words(make_bot: Callable[..., Chatbot], reply: Any) -> None:
    plain = make_bot().respond(QUESTION, "plain", "plain").text
    bot = make_bot(chat_model=scripted(reply), settings={"chat_timeout_s": 5})
    fallen = bot.respond(QUESTION, "s1", "nora")
    assert fallen.text == plain
    turn = transcript(bot.memory.store, "s1", "nora")[0]
    assert (turn.reply, turn.decision["written_by"]) == (plain, "desk")


def test_silent_chat_model_is_not_waited_for(make_bot: Callable[..., Chatbot]) -> None:
    over = threading.Event()

    def silent() -> Iterator[str]:
        yield "Three to"
        over.wait(60)

    bot = make_bot(chat_model=scripted(silent()), settings={"chat_timeout_s": 0.2})
    reply = bot.respond(QUESTION, "s1", "nora")
    over.set()
    assert "working days" in reply.text
    assert not reply.text.startswith("Three to")


def test_whoever_waits_for_the_chat_model_keeps_nobody_else_waiting(make_bot: Callable[..., Chatbot]) -> None:
    everybody = AT_WORK + 2
    together = threading.Barrier(everybody)  # breaks, and the desk's words are used, unless all of them get there

    def writing() -> Iterator[str]:
        together.wait(30)
        yield "Three to five."

    bot = make_bot(chat_model=scripted(*(writing() for _ in range(everybody))), settings={"chat_timeout_s": 40})
    with ThreadPoolExecutor(everybody) as crowd:
        replies = list(crowd.map(lambda number: bot.respond(QUESTION, f"s{number}", f"c{number}"), range(everybody)))
    assert {reply.text for reply in replies} == {"Three to five."}


def test_handoff_is_never_left_to_the_chat_model(make_bot: Callable[..., Chatbot]) -> None:
    model = scripted(["I will refund everything!"])
    reply = make_bot(chat_model=model).respond("I want to talk to a human", "s1", "nora")
    assert reply.handed_over
    assert "refund everything" not in reply.text
    assert model.asked == []


def test_chat_model_summarises_what_leaves_the_buffer(make_bot: Callable[..., Chatbot]) -> None:
    bot = make_bot(chat_model=scripted(*[[f"Words {number}."] for number in range(60)]))
    for _ in range(20):
        bot.respond(QUESTION, "s1", "nora")
    bot.close()
    with bot.memory.store.read() as connection:
        digest, prose, covers = load_summaries(connection, "s1")
    assert prose.startswith("Words")
    assert 0 < covers <= digest.covers


def test_the_chat_model_is_shown_the_summary_and_what_is_owed(make_bot: Callable[..., Chatbot]) -> None:
    model = scripted(*[["Noted."] for _ in range(60)])
    bot = make_bot(chat_model=model)
    bot.respond("I want to make a complaint", "old", "nora")
    bot.respond("my order R-10234 is late", "s1", "nora")
    for _ in range(20):
        bot.respond(QUESTION, "s1", "nora")
    prompt = str(model.asked[-1])
    assert "the team will acknowledge your complaint" in prompt
    assert "due by 26 November 2026" in prompt
    assert "Earlier in this conversation:" in prompt


def test_the_chat_model_is_shown_what_was_said_in_earlier_sessions_and_the_reply_says_so(
    make_bot: Callable[..., Chatbot],
) -> None:
    model = scripted()
    bot = make_bot(chat_model=model)
    said = bot.respond("how long does delivery to the Isle of Lewis take?", "s1", "nora")
    reply = bot.respond(QUESTION, "s2", "nora")
    assert "Isle of Lewis" in model.asked[-1]
    assert str(said.turn_id) in [source.id for source in reply.sources if source.kind == "turn"]
    stranger = bot.respond(QUESTION, "s3", "tom")
    assert "Isle of Lewis" not in model.asked[-1]
    assert "turn" not in [source.kind for source in stranger.sources]


def test_failed_summary_changes_nothing_and_is_tried_again(make_bot: Callable[..., Chatbot]) -> None:
    bot = make_bot()
    for _ in range(20):
        bot.respond(QUESTION, "s1", "nora")

    def fails(summary: str, turns: object) -> str:
        raise ConnectionError("refused")

    before = transcript(bot.memory.store, "s1", "nora")
    assert not bot.memory.summarise("s1", "nora", fails)
    assert not bot.memory.summarise("s1", "nora", lambda summary, turns: " ")
    assert transcript(bot.memory.store, "s1", "nora") == before
    assert bot.memory.summarise("s1", "nora", lambda summary, turns: f"{len(turns)} turns")


def test_unknown_chat_model_is_refused_with_its_name() -> None:
    with pytest.raises(RapportError, match="RAPPORT_CHAT_MODEL=nobody:knows"):
        make_chat_model(Settings(chat_model="nobody:knows"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An OpenAI-compatible server with a tiny random model; gives its address and the model's name."""
    model = tmp_path_factory.mktemp("tiny")
    _write_tiny_model(model)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).with_name("transformers"), "serve", str(model), "--port", str(port)]
    with (model / "log").open("wb") as log:
        process = subprocess.Popen([*map(str, command), "--device", "cpu"], stdout=log, stderr=log)
    try:
        _wait_for(f"{url}/health", process)
        yield f"{url}/v1", str(model)
    finally:
        process.terminate()
        process.wait()


def test_any_openai_compatible_server_can_write_the_reply(
    make_bot: Callable[..., Chatbot], server: tuple[str, str]
) -> None:
    url, name = server
    settings = {"chat_model": f"openai:{name}", "chat_base_url": url, "chat_api_key": "none", "chat_timeout_s": 60}
    model = make_chat_model(Settings(**settings))
    assert model is not None
    bot = make_bot(chat_model=model.bind(max_tokens=24), settings=settings)
    pieces = list(bot.stream(QUESTION, session_id="s1", customer_id="nora"))
    turn = transcript(bot.memory.store, "s1", "nora")[0]
    assert turn.decision["written_by"] == "chat_model"
    assert len(pieces) > 3
    assert turn.reply


def test_dead_server_falls_back_within_the_time_limit(make_bot: Callable[..., Chatbot]) -> None:
    settings = {"chat_model": "openai:x", "chat_base_url": "http://127.0.0.1:9", "chat_api_key": "none"}
    bot = make_bot(chat_model=make_chat_model(Settings(**settings)), settings=settings)
    reply = bot.respond(QUESTION, "s1", "nora")
    assert "working days" in reply.text
    assert transcript(bot.memory.store, "s1", "nora")[0].decision["written_by"] == "desk"


def _write_tiny_model(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *sorted(letters)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server stopped"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not start")
