"""Run by torchrun in a test: each process teaches one ranking on its part of the batches and writes its weights."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from finetune.methods import apply
from finetune.pairs import make_pairs
from finetune.ranking import AnswerLesson, AnswerNetwork, Quiz
from finetune.training import Settings, train
from tests.finetune.conftest import VOCABULARY
from tests.finetune.test_answer import tokenize

torch.set_num_threads(1)
torch.manual_seed(0)
config = BertConfig(
    vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
)
pairs = make_pairs([f"{20 + row} {40 + row % 6}" for row in range(36)], [f"{60 + row % 6} 80" for row in range(36)])
quiz = Quiz(range(36), [[one for one in range(6) if one not in pairs.right[row]] for row in range(36)])
network = AnswerNetwork(apply(BertModel(config, add_pooling_layer=False), "full"))
history = train(
    AnswerLesson(network, tokenize, pairs, quiz, quiz), Settings(epochs=6, learning_rate=3e-3, batch_size=4, patience=6)
)
torch.save(
    {"losses": history.losses, "weights": [one.detach() for one in network.parameters()]},
    Path(sys.argv[1]) / f"{os.environ['RANK']}.pt",
)
