"""A small residual classifier for 28x28 grayscale images (ReLU throughout)."""

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the output is the ReLU of their sum."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Classifier(nn.Module):
    """Ten-class residual network with 24, 48 and 96 channels.

    Input: float tensor (N, 1, 28, 28) in [0, 1].  Output: logits (N, 10).
    The network splits after ``stage2``, whose output is a ReLU tensor (N, 48, 14, 14).
    """

    split_layer = "stage2"
    feature_shape = (48, 14, 14)

    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 24, 3, 1, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU()
        )
        self.stage1 = ResidualBlock(24, 24)
        self.stage2 = nn.Sequential(ResidualBlock(24, 48, 2), ResidualBlock(48, 48))
        self.stage3 = ResidualBlock(48, 96, 2)
        self.head = nn.Linear(96, classes)

    def edge(self, x):
        """Images to the feature tensor at the split."""
        x = (x - 0.286) / 0.353
        return self.stage2(self.stage1(self.stem(x)))

    def cloud(self, feature):
        """Feature tensor at the split to logits."""
        return self.head(self.stage3(feature).mean((2, 3)))

    def forward(self, x):
        return self.cloud(self.edge(x))


@torch.no_grad()
def accuracy(model, images, labels, batch=250):
    """Top-1 accuracy in percent of ``model`` (any callable giving logits)."""
    right = 0
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        right += int((model(x).argmax(1) == y).sum())
    return 100.0 * right / len(labels)
