"""The encoder: text to unit vectors, with the pinned all-MiniLM-L6-v2 weights on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from retrieval.onnx_model import OnnxModel

# SHA-256 of sentence-transformers/all-MiniLM-L6-v2's model.safetensors, as its authors publish it.
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIM = 384
MAX_TOKENS = 256


class Encoder(Embeddings):
    """Turns texts into unit vectors whose dot product is their cosine similarity."""

    def __init__(self, folder: Path) -> None:
        """Load an exported encoder.

        Raises:
            ModelError: the folder is missing, incomplete or altered.
        """
        self._model = OnnxModel(folder)
        self.name: str = self._model.manifest["name"]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape `(n, 384)`; text beyond 256 tokens is not seen."""
        if not texts:
            return np.zeros((0, DIM), dtype=np.float32)
        return self._model.run(texts)["vector"]

    def expect(self, text: str) -> Callable[[], NDArray[np.float32]]:
        """Return what gives the unit vector `(384,)` of a text when it is called; others may encode it before."""
        return self._model.expect(text)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text takes, untruncated."""
        return self._model.count_tokens(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of several texts as lists, for LangChain."""
        return [[float(value) for value in row] for row in self.encode(texts)]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text as a list, for LangChain."""
        return self.embed_documents([text])[0]
