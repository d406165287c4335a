"""ResNet-18 as published, and a brief training on Fashion-MNIST enlarged to 64x64."""

import torch
import torch.nn.functional as F
from torch import nn

from .data import load_classifier_data, read_dataset, to_input

SIDE = 64  # pixels the 28x28 images are enlarged to


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Input: float tensor (N, 3, H, W) in [0, 1].  Output: logits (N, classes)."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)
        for i in range(4):
            stride = 1 if i == 0 else 2
            blocks = BasicBlock(widths[i], widths[i + 1], stride), BasicBlock(
                widths[i + 1], widths[i + 1], 1)  # fmt: skip
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def enlarge(images):
    """(N, 1, 28, 28) to (N, 3, 64, 64), bilinear."""
    large = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1).contiguous()


def train(path, images=8_000, batch=64, seed=0):
    """One pass over some training images; the weights go to ``path`` in half precision."""
    torch.manual_seed(seed)
    model = ResNet18()
    pixels, labels = read_dataset()["train"]
    order = torch.randperm(len(labels))[:images]
    optimizer = torch.optim.SGD(model.parameters(), 0.05, 0.9, weight_decay=5e-4, nesterov=True)
    steps = images // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    for i in range(steps):
        chosen = order[i * batch : (i + 1) * batch].numpy()
        x = enlarge(to_input(pixels[chosen]))
        loss = F.cross_entropy(model(x), torch.from_numpy(labels[chosen].astype("int64")))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if i % 20 == 0:
            print(f"step {i} of {steps}: loss {loss.item():.3f}", flush=True)
    torch.save({k: v.half() if v.is_floating_point() else v
                for k, v in model.state_dict().items()}, path)  # fmt: skip


def load(path):
    """The trained network in evaluation mode."""
    model = ResNet18()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def samples(split, count):
    """(images (count, 3, 64, 64), labels or None) of a split of the demo data."""
    images, labels = load_classifier_data(split, count)
    return enlarge(images), labels
