"""Finding text: the encoder, the FAISS and BM25 indexes, and the help-centre passages."""

from retrieval.encoder import Encoder
from retrieval.index import FaissIndex
from retrieval.knowledge import Candidate, Knowledge, Passage
from retrieval.lexical import BM25

__all__ = ["BM25", "Candidate", "Encoder", "FaissIndex", "Knowledge", "Passage"]
