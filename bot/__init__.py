"""Rapport: a customer-service chatbot that remembers."""

from bot.chatbot import Chatbot
from bot.problems import DeskError, RapportError
from bot.turn import Reply, Source

__all__ = ["Chatbot", "DeskError", "RapportError", "Reply", "Source"]
