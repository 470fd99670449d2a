"""What is kept about a conversation and a customer: buffer, summary, recall and facts."""

from memory.context import Context
from memory.conversation import ConversationMemory
from memory.facts import Fact, FactSpec
from memory.store import Store, StoreError, Turn

__all__ = ["Context", "ConversationMemory", "Fact", "FactSpec", "Store", "StoreError", "Turn"]
