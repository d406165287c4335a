"""Small networks of every shape that is hard to cut."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A residual block with in-place activations and dropout."""

    def __init__(self, c):
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 3, padding=1)
        self.norm = nn.BatchNorm2d(c)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        y = self.conv2(self.drop(self.relu(self.norm(self.conv1(x)))))
        y += x
        return self.relu(y)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.layer1, self.layer2 = Block(8), nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.stem(x)))
        return self.head(x.mean((2, 3)).view(x.size(0), -1))


class UNet(nn.Module):
    """Skips that are concatenated: three tensors cross at the bottom."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, 1)
        self.bottom = nn.Conv2d(16, 16, 3, 2, 1)
        self.up2, self.up1 = nn.Conv2d(32, 8, 3, padding=1), nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x):
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(a))
        c = F.relu(self.bottom(b))
        d = F.relu(self.up2(torch.cat([F.interpolate(c, scale_factor=2.0), b], 1)))
        return {"mask": self.up1(torch.cat([F.interpolate(d, size=x.shape[2:]), a], 1))}


class Branches(nn.Module):
    """Two branches that both read the input."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU())
        self.join = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        return self.join(torch.cat([self.left(x), self.right(x)], 1)).flatten(1)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Layer(nn.Module):
    def __init__(self, width=32, heads=4):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))

    def forward(self, x, cos, sin, mask):
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, c))
        return x + self.mlp(x)


class Rotary(nn.Module):
    """An encoder of tokens: rotary positions, and a mask made of the tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.head = nn.Linear(32, 50)

    def forward(self, tokens):
        turn = torch.arange(tokens.shape[1])[:, None] * 0.5 ** torch.arange(4.0)
        cos, sin = turn.cos(), turn.sin()
        mask = (tokens != 0)[:, None, None, :]
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.head(x)


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.first = kind(6, 12, batch_first=True)
        self.second = kind(12, 12, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        y, state = self.first(x)
        z, _ = self.second(y)
        state = state[0] if isinstance(state, tuple) else state
        return self.head(z[:, -1]) + state[-1][:, :3]


class Shared(nn.Module):
    """One layer called three times, and weights tied between the ends."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Linear(20, 16), nn.Linear(16, 16)
        self.back = nn.Linear(16, 20, bias=False)
        self.back.weight = nn.Parameter(self.embed.weight.detach().T.clone())

    def forward(self, x):
        x = self.embed(x)
        for _ in range(3):
            x = torch.tanh(self.mix(x))
        return F.linear(x, self.embed.weight.T), self.back(x)


class Guided(nn.Module):
    """Neither exported nor traced: Python decides by the data, behind the layers "a" and "b"."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(10, 16), nn.Linear(16, 16)
        self.c, self.d, self.e = nn.Linear(16, 5), nn.Linear(16, 5), nn.Linear(5, 5)

    def forward(self, x):
        y = torch.relu(self.a(x))
        y = self.b(y)
        return self.e(self.c(y) if float(y.detach().sum()) > 0 else self.d(y))


class Winding(nn.Module):
    """A stem and a residual block, and then as many rounds as the data ask for."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.block, self.round = Block(8), nn.Conv2d(8, 8, 3, padding=1)
        self.last, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.block(self.stem(x))
        for _ in range(3):
            if float(x.detach().abs().mean()) > 1e-3:
                x = torch.relu(self.round(x))
        return self.head(self.last(x).mean((2, 3)))


class Normalised(nn.Module):
    """Every kind of normalisation, and sizes that are computed."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.Sequential(nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.Dropout2d(0.5))
        self.last = nn.Linear(8, 4)

    def forward(self, x, scale=None):
        n, c, h, w = x.shape
        y = self.norms(self.conv(x)).permute(0, 2, 3, 1).reshape(n * h * w, -1)
        y = self.last(y if scale is None else y * scale)
        return y.view(n, h * w, 4).mean(1), torch.zeros(n, 2)


def images(n=2, side=16):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def tokens(n=3, length=7):
    return torch.randint(0, 50, (n, length), generator=torch.Generator().manual_seed(0))


def series(n=2):
    return torch.randn(n, 4, 6, generator=torch.Generator().manual_seed(0))


# name -> (model, layer or layers, example, names of the tensors that cross)
CASES = {
    "residual": (Residual, "layer1", images(), ["layer1"]),
    "residual, inside a block": (Residual, "layer1.conv1", images(), ["stem", "layer1.conv1"]),
    "batch of one": (Shared, "mix@0", torch.randn(1, 20), ["mix@0"]),
    "u-net": (UNet, "bottom", images(), ["%relu", "%relu_1", "bottom"]),
    "branches": (Branches, ["left", "right"], images(), ["left", "right"]),
    "rotary": (Rotary, "layers.1", tokens(), ["%unsqueeze", "layers.1"]),
    "lstm": (Recurrent, "first", series(), None),
    "gru": (lambda: Recurrent(nn.GRU), "first", series(), None),
    "shared": (Shared, "mix@1", torch.randn(2, 20), ["mix@1"]),
    "normalised": (Normalised, "norms", images(), ["norms"]),
}


def build(name):
    torch.manual_seed(0)
    make, at, example, crossing = CASES[name]
    return make(), at, example, crossing
