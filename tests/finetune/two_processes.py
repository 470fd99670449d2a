"""Run by torchrun in a test: each process teaches the same lesson, twice, on its batches, and writes its weights."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from transformers import BertConfig, BertModel

from finetune.lesson import IntentLesson, in_conversations
from finetune.methods import apply
from finetune.network import IntentNetwork
from finetune.soup import train_several
from finetune.training import Settings
from tests.finetune.conftest import VOCABULARY, make_messages

labels = [row % 4 for row in range(96)]
torch.set_num_threads(1)
torch.manual_seed(0)
config = BertConfig(
    vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
)
messages = in_conversations(make_messages(labels), np.array(labels), None)
lesson = IntentLesson(IntentNetwork(apply(BertModel(config, add_pooling_layer=False), "full"), 4), messages, messages)
history = train_several(lesson, Settings(epochs=16, learning_rate=2e-3, batch_size=8, patience=16, trainings=2))
weights = [one.detach() for one in lesson.model.parameters()]
torch.save(
    {"processes": PartialState().num_processes, "score": max(history.scores), "weights": weights},
    Path(sys.argv[1]) / f"{os.environ['RANK']}.pt",
)
