"""Multiply-adds of every node of a traced model: torch's own counter, with what it leaves out.

``torch.utils.flop_counter.FlopCounterMode`` counts two operations a multiply-add, and nothing for
the CPU's attention kernel, for LSTMs on it, and for products of vectors (PyTorch 2.13).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.utils.flop_counter import FlopCounterMode

from .graph import Trace, Watch

__all__ = ["count_macs", "flop_counter"]

Shape = Sequence[int]
aten = torch.ops.aten


def attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Scores and their sums: two products of matrices for each head."""
    *batch, rows, width = query
    return 2 * math.prod(batch) * rows * key[-2] * (width + value[-1])


def recurrence(x: Shape, input_weight: Shape, hidden_weight: Shape, *_: Any, **__: Any) -> int:
    """A recurrent layer in one direction: both products of matrices at every step."""
    return 2 * x[0] * x[1] * (math.prod(input_weight) + math.prod(hidden_weight))


def matrix_vector(matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def added_matrix_vector(_: Shape, matrix: Shape, *__: Any, **___: Any) -> int:
    return 2 * math.prod(matrix)


EXTRA = {
    aten._scaled_dot_product_flash_attention_for_cpu: attention,
    aten.mkldnn_rnn_layer: recurrence,
    aten.mv: matrix_vector,
    aten.dot: matrix_vector,
    aten.addmv: added_matrix_vector,
}


def flop_counter() -> FlopCounterMode:
    """The counter, silent; two operations for each multiply-add."""
    return FlopCounterMode(display=False, custom_mapping=EXTRA)


class Counter(Watch):
    """Runs the graph and keeps the counter's reading after every node."""

    def __init__(self, found: Trace) -> None:
        super().__init__(found)
        self.counter = flop_counter()
        self.macs: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        before = self.counter.get_total_flops()
        value = super().run_node(n)
        self.macs[n] = (self.counter.get_total_flops() - before) // 2
        return value

    def saw(self, node: fx.Node, value: Any) -> None:
        pass


def count_macs(found: Trace, leaves: Sequence[Any]) -> dict[fx.Node, int]:
    """Multiply-adds of each node, for these flattened inputs."""
    counter = Counter(found)
    with torch.no_grad(), counter.counter:
        counter.run_on(leaves)
    return counter.macs
