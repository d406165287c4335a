"""Section 3 of csrc/FORMAT.md: how a tensor is cut into blocks."""

from primitives import Refused, ceil_div, product

BLOCK_SYMBOLS = 1 << 18
PAIR_SYMBOLS = 1 << 22
SAMPLE_SYMBOLS = 1 << 30
FRAMES = 8  # added to a channel axis


def geometry(shape: list[int], axis: int | None) -> tuple[int, int, int, int]:
    """The tensor as (samples, channels, height, width)."""
    rank = len(shape)
    if product(n for n in shape if n > 0) > 1 << 62:
        raise Refused("shape")
    if axis is not None and axis >= FRAMES:
        axis -= FRAMES
        others = shape[:axis] + shape[axis + 1 :]
        before, spatial = others[:-2], others[-2:]
    elif axis is None:
        before, spatial = [], shape
    elif axis < rank - 1:
        before, spatial = shape[:axis], shape[axis + 1 :]
    else:
        before, spatial = (shape[:1], shape[1:-1]) if rank > 2 else ([], shape[:-1])
    channels = 1 if axis is None else shape[axis]
    width = spatial[-1] if spatial else 1
    return product(before), channels, product(spatial[:-1]), width


def cut(size: tuple[int, int, int, int], whole_samples: bool) -> tuple[int, int, int, int]:
    """The steps along samples, channels, rows and columns."""
    samples, channels, height, width = size
    plane, sample = height * width, channels * height * width
    if whole_samples and sample > SAMPLE_SYMBOLS:
        raise Refused("shape")
    if whole_samples:
        pairs = max(2, BLOCK_SYMBOLS // sample // 2 * 2) if sample <= PAIR_SYMBOLS else 1
        return min(samples, pairs), channels, height, width
    if sample <= BLOCK_SYMBOLS:
        return min(samples, BLOCK_SYMBOLS // sample), channels, height, width
    if plane <= BLOCK_SYMBOLS:
        fit = BLOCK_SYMBOLS // plane
        return 1, fit // 32 * 32 if fit > 32 else fit, height, width
    if width <= BLOCK_SYMBOLS:
        return 1, 1, BLOCK_SYMBOLS // width, width
    return 1, 1, 1, BLOCK_SYMBOLS


def regions(size: tuple[int, int, int, int], steps: tuple[int, int, int, int]):
    """Slices of each block in the order of the blocks: columns fastest, samples slowest."""
    counts = [ceil_div(n, step) for n, step in zip(size, steps, strict=True)]
    for number in range(product(counts)):  # none if an axis is empty
        slices = []
        for n, step, count in reversed(list(zip(size, steps, counts, strict=True))):
            start = number % count * step
            number //= count
            slices.insert(0, slice(start, min(start + step, n)))
        yield tuple(slices)
