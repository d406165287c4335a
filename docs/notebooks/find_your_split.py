# %% [markdown]
# # Find your split point
#
# Every cut of a small network: what crosses it, how many bytes that takes once coded, how long it all lasts.

# %%
import torch
from torch import nn

import lwfc.torch as lt
from lwfc.split import Link

torch.manual_seed(0)
torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.conv(x) + x)


model = nn.Sequential(
    nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), Block(16), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), Block(32),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
).eval()  # fmt: skip
images = torch.rand(12, 3, 32, 32)

# %% [markdown]
# A slow device, a mobile link. A metric would need your labels; here the outputs' relative squared error bounds the
# loss.

# %%
result = lt.explore(
    model,
    images.split(4),
    link=Link(mbit_s=5, rtt_ms=20),
    edge_speed=0.05,
    profiles=["paper", "rans"],
    max_loss=0.05,
    shortlist=2,
)
result

# %% [markdown]
# The residual block's inner convolution is crossed by two tensors: its own output, and the block's input beside it.

# %%
edge, cloud = lt.split(model, "2.conv", example=images[:2])
print(edge)
assert torch.equal(cloud(edge(images)), model(images))

# %% [markdown]
# The cut behind the block, with a codec: bytes cross.

# %%
codec = lt.calibrate(model, "2", images, levels=8)
edge, cloud = lt.split(model, "2", codec, example=images[:2])
data = edge(images)
print(len(data), "bytes for", len(images), "images; the uncoded tensor has", 12 * 16 * 16 * 16 * 4)
(cloud(data) - model(images)).abs().max()
