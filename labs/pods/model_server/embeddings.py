"""Texts as vectors: the hashing trick over word stems, each weighted by how rare it is in the runbook.

Lexical, so texts that share words are near and synonyms are not: enough for a search over a runbook, and every number can be
followed by hand. The method: Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections import Counter

from labs.pods.model_server.retrieval import Index, words

DIMENSIONS = 256
SIGN_BIT = 1 << 31


def embed(index: Index, text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of ``text``, of length 1; all zeros if none of its words carries meaning. A dot product is the cosine."""
    vector = [0.0] * dimensions
    for word, count in Counter(words(text)).items():
        code = zlib.crc32(word.encode())
        sign = -1.0 if code & SIGN_BIT else 1.0
        vector[code % dimensions] += sign * (1 + math.log(count)) * index.rarity(word)
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector


def to_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, the ``encoding_format`` that OpenAI's Python client asks for."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
