"""What our turn is compared with: LangChain's classic memories over SQLite and FAISS, doing the same work.

Not run by itself; `python -m benchmarks.turn` uses it.

ConversationSummaryBufferMemory over a SQLChatMessageHistory and VectorStoreRetrieverMemory over FAISS, with our encoder
and a chat model that answers at once. Everything that could be in doubt is settled in the baseline's favour: one object
lives on between turns, so that its summary is not lost; token counts cost a division; the history is durable in SQLite,
but FAISS is never written to disk, so after a crash this baseline would have lost what it recalls from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from sqlalchemy import create_engine

from benchmarks.histories import Sample, earlier_sessions
from retrieval import Encoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # all of it announces its retirement
    from langchain_classic.memory import ConversationSummaryBufferMemory, VectorStoreRetrieverMemory
    from langchain_community.chat_message_histories import SQLChatMessageHistory
    from langchain_community.vectorstores import FAISS

_CHARS_PER_TOKEN = 4  # about right for English, and far cheaper than a tokenizer


class InstantChatModel(FakeListChatModel):
    """A chat model that takes no time, so that only the memory's own work is measured."""

    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Any = None) -> int:
        """Return an estimate; the real method would load a tokenizer from the network."""
        return sum(len(message.content) for message in messages) // _CHARS_PER_TOKEN


class ClassicCustomer:
    """One customer's conversation in LangChain's classic memories."""

    def __init__(self, file: Path, encoder: Encoder, budget: int, recalled: int, history: Sequence[Sample]) -> None:
        """Begin with a history: its last, long session in the message history, all of it in the vector store."""
        model = InstantChatModel(responses=["Your order is on its way; it should reach you on Thursday."])
        self._engine = create_engine(f"sqlite:///{file}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            messages = SQLChatMessageHistory(file.stem, connection=self._engine)
            messages.add_messages(
                [
                    message
                    for one in history[sum(earlier_sessions(len(history))) :]
                    for message in (HumanMessage(one.text), AIMessage(one.reply))
                ]
            )
            texts = [f"input: {one.text}\noutput: {one.reply}" for one in history]
            vectors = np.stack([one.vector for one in history]).tolist()
            store = FAISS.from_embeddings(list(zip(texts, vectors, strict=True)), encoder)
            self._buffer = ConversationSummaryBufferMemory(
                llm=model,
                chat_memory=messages,
                max_token_limit=budget,
                return_messages=True,
                input_key="input",
                output_key="output",
            )
            self._recall = VectorStoreRetrieverMemory(
                retriever=store.as_retriever(search_kwargs={"k": recalled}), memory_key="recalled", input_key="input"
            )
        prompt = ChatPromptTemplate.from_messages(
            [
                ("system", "You are a customer-service assistant. Earlier turns that may matter:\n{recalled}"),
                MessagesPlaceholder("history"),
                ("human", "{input}"),
            ]
        )
        self._chain = prompt | model | StrOutputParser()

    def respond(self, text: str) -> str:
        """Do one turn: load both memories, prompt the model, save to both memories."""
        given = {"input": text}
        values = {
            **given,
            **self._buffer.load_memory_variables(given),
            **self._recall.load_memory_variables(given),
        }
        reply: str = self._chain.invoke(values)
        self._buffer.save_context(given, {"output": reply})
        self._recall.save_context(given, {"output": reply})
        return reply

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()
