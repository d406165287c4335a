"""The transform's fit, written as slowly and plainly as its formulas: an oracle for tests.

Maps are (samples, channels, height, width); a block's coefficients are a list, by frequency
f = u * block width + v, of arrays (samples * blocks, channels), blocks in raster order.
"""

import math

import numpy as np


def cosine(n, k, i):
    return math.sqrt((2 if k else 1) / n) * math.cos(math.pi * (i + 0.5) * k / n)


def coefficients(x, bh, bw):
    n, channels, height, width = x.shape
    found = []
    for u in range(bh):
        for v in range(bw):
            weights = np.array([[cosine(bh, u, y) * cosine(bw, v, z) for z in range(bw)]
                                for y in range(bh)])  # fmt: skip
            rows = []
            for sample in x.astype(np.float64):
                for top in range(0, height, bh):
                    for left in range(0, width, bw):
                        tile = sample[:, top : top + bh, left : left + bw]
                        rows.append((tile * weights).sum((1, 2)))
            found.append(np.array(rows))
    return found


def moments(vectors):
    return sum(np.outer(v, v) for v in vectors) / len(vectors)


def metric(gradients):
    """G of every frequency, regularised: 10 % common shape, 2 % identity, a floor of 1e-4."""
    channels = gradients[0].shape[1]
    raw = [moments(g) for g in gradients]
    level = [np.trace(m) / channels for m in raw]
    shape = [m / t for m, t in zip(raw, level, strict=True)]
    common = sum(shape) / len(shape)
    mixed = [0.98 * (0.9 * s + 0.1 * common) + 0.02 * np.eye(channels) for s in shape]
    full = [t * m + 1e-4 * max(level) * np.eye(channels) for t, m in zip(level, mixed, strict=True)]
    scale = sum(np.trace(m) / channels for m in full) / len(full)
    return [m / scale for m in full]


def basis(s, g):
    """(analysis, synthesis) by the symmetric root of g: V^T R and R^-1 V."""
    values, vectors = np.linalg.eigh(g)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    v = np.linalg.eigh(root @ s @ root)[1][:, ::-1]
    return v.T @ root, np.linalg.inv(root) @ v


def code_length(symbols, columns, flags, classes, counts, largest):
    """Bits of one block's symbols, in coding order, under static 12-bit tables."""
    total, row, group = 0.0, 0, 0
    for count in columns:
        for start in range(0, count, 16):
            values = symbols[row + start : row + min(start + 16, count)]
            busy = any(values)
            p = flags[group] / 4096
            total -= math.log2(p if busy else 1 - p)
            for k, q in enumerate(values if busy else ()):
                table = counts[classes[row + start + k]]
                top = max(v for v in range(1, largest + 1) if table[largest + v])
                if abs(q) <= top:
                    total += 12 - math.log2(table[largest + q])
                else:
                    total += 12 - math.log2(table[-1]) + 5 + int(math.log2(abs(q) - top))
            group += 1
        row += count
    return total
