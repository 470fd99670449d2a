"""Whether 8-bit products overflow on this processor: without VNNI, x86 adds up two of them in 16 bits."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime

# An ONNX graph as `onnx` writes it, which serving does not import: c = MatMulInteger(a, b), a (2, 4), b (4, 16) of 127.
PRODUCT = (
    b'\x08\x08:\x94\x01\n\x18\n\x01a\n\x01b\x12\x01c"\rMatMulInteger\x12\x01g*K\x08\x04\x08\x10\x10\x03B\x01bJ@'
    + b"\x7f" * 64
    + b"Z\x13\n\x01a\x12\x0e\n\x0c\x08\x02\x12\x08"
    + b"\n\x02\x08\x02\n\x02\x08\x04b\x13\n\x01c\x12\x0e\n\x0c\x08\x06\x12\x08"
    + b"\n\x02\x08\x02\n\x02\x08\x10B\x04\n\x00\x10\x11"
)


@cache
def products_overflow() -> bool:
    """Return whether ONNX Runtime's fast 8-bit products are wrong here, found out with the largest ones.

    What it holds against that (`session.x64quantprecision`) is several times slower, also where nothing overflows.
    """
    session = onnxruntime.InferenceSession(PRODUCT, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": np.full((2, 4), 255, np.uint8)})
    return bool((product != 4 * 255 * 127).any())
