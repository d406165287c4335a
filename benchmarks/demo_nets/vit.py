"""A small vision transformer for 28x28 grayscale images: 49 tokens of 64 features, GELU."""

import torch
from torch import nn


class Block(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron, each with a shortcut."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(),
                                 nn.Linear(4 * width, width))  # fmt: skip
        self.heads = heads

    def forward(self, x):
        n, tokens, width = x.shape
        parts = self.mix(self.norm1(x)).view(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(seen.transpose(1, 2).reshape(n, tokens, width))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Ten-class transformer of four blocks on 4x4 patches; the class is read off the tokens' mean.

    Input: float tensor (N, 1, 28, 28) in [0, 1].  Output: logits (N, 10).
    The network splits after ``first``, the first two blocks, whose output is (N, 49, 64): tokens
    with features last, positive and negative, of a residual stream.
    """

    split_layer = "first"
    feature_shape = (49, 64)

    def __init__(self, classes=10, width=64, heads=4):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.places = nn.Parameter(0.02 * torch.randn(1, 49, width))
        self.first = nn.Sequential(Block(width, heads), Block(width, heads))
        self.last = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def edge(self, x):
        """Images to the tokens at the split."""
        tokens = self.patches((x - 0.286) / 0.353).flatten(2).transpose(1, 2)
        return self.first(tokens + self.places)

    def cloud(self, tokens):
        """Tokens at the split to logits."""
        return self.head(self.norm(self.last(tokens)).mean(1))

    def forward(self, x):
        return self.cloud(self.edge(x))
