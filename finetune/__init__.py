"""Teaching BERT: from labelled messages to the classifier that serving loads."""

from finetune.answer import AnswerClassifier
from finetune.intent import IntentClassifier

__all__ = ["AnswerClassifier", "IntentClassifier"]
