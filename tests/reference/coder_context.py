"""Section 9 of csrc/FORMAT.md: the calibrated context coder and its model."""

from dataclasses import dataclass, field

from primitives import Bits, Block, Reader, Refused, ceil_div

LANES = 32


@dataclass
class Slot:
    """What the model says about one channel."""

    offset: int
    above: list[int]
    bias: list[int]
    left: list[int]  # what the left symbol 0, 1, ... adds
    left2: list[int]
    references: list[tuple[int, list[int]]] = field(default_factory=list)  # channel, by symbol


@dataclass
class Model:
    levels: int
    shift: int
    coarse: int
    channels: int
    link: list[int]
    order: list[int]
    slots: list[Slot]


def read_model(blob: bytes) -> Model:
    r = Reader(blob, 0, "section")
    version, levels, shift, coarse, channels = r.u8(), r.u8(), r.u8(), r.u8(), r.u16()
    link = list(r.take(32))
    if (
        version != 1
        or not 2 <= levels <= 16
        or shift > 4
        or coarse > 2
        or channels == 0
        or link[0] > 128
        or link[-1] < levels - 1
        or any(a < b for a, b in zip(link, link[1:], strict=False))
    ):
        raise Refused("section")
    order = [r.u16() for _ in range(channels)]
    if sorted(order) != list(range(channels)):
        raise Refused("section")
    model = Model(levels, shift, coarse, channels, link, order, [])
    model.slots = [read_slot(r, model, slot) for slot in range(channels)]
    if r.left():
        raise Refused("section")
    return model


def read_slot(r: Reader, model: Model, number: int) -> Slot:
    offset = r.i16()
    above = [r.i8() for _ in range(5)]
    bias = [r.i8() for _ in range(model.levels - 1)]
    if not -16384 <= offset <= 16384 or any(a < b for a, b in zip(bias, bias[1:], strict=False)):
        raise Refused("section")
    slot = Slot(offset, above, bias, read_sums(r, model.levels), read_sums(r, model.levels))
    for _ in range(r.u8()):
        named = r.u16()
        base, first = r.i8(), r.i8()
        slope = r.i8() if model.levels > 2 else 0
        table = [base] + [base + first + s * slope for s in range(model.levels - 1)]
        if named >= number // LANES * LANES or not all(-128 <= v <= 127 for v in table):
            raise Refused("section")
        slot.references.append((model.order[named], table))
    return slot


def read_sums(r: Reader, levels: int) -> list[int]:
    sums = [0]
    for _ in range(levels - 1):
        sums.append(sums[-1] + r.i8())
    if not all(-128 <= v <= 127 for v in sums):
        raise Refused("section")
    return sums


def clamp(v: int) -> int:
    return max(-128, min(127, v))


class Lanes:
    """The states of 32 lanes and their byte stream (large blocks)."""

    def __init__(self, r: Reader, used: int, chains: int):
        self.least, self.stream = 256, r
        self.states = [
            [r.u16() if lane < used else 256 for lane in range(LANES)] for _ in range(chains)
        ]
        if any(x < 256 for lanes in self.states for x in lanes):
            raise Refused("payload")

    def get(self, chain: int, lane: int) -> int:
        return self.states[chain][lane]

    def put(self, chain: int, lane: int, state: int) -> None:
        self.states[chain][lane] = state

    def ended(self) -> bool:
        return all(x == 256 for lanes in self.states for x in lanes)


class Single:
    """One wider state (small blocks)."""

    def __init__(self, r: Reader):
        self.least, self.stream = 1 << 15, r
        self.state = int.from_bytes(r.take(3), "little")
        if not self.least <= self.state < self.least << 8:
            raise Refused("payload")

    def get(self, chain: int, lane: int) -> int:
        return self.state

    def put(self, chain: int, lane: int, state: int) -> None:
        self.state = state

    def ended(self) -> bool:
        return self.state == self.least


def decode_symbol(states, chain: int, lane: int, thresholds: list[int]) -> int:
    """`thresholds` are C_1..C_{N-1}."""
    x = states.get(chain, lane)
    slot = x & 255
    symbol = sum(c <= slot for c in thresholds)
    table = [0, *thresholds, 256]
    x = (table[symbol + 1] - table[symbol]) * (x >> 8) + slot - table[symbol]
    if x < states.least:
        x = x << 8 | states.stream.u8()
    states.put(chain, lane, x)
    return symbol


def thresholds_of(model: Model, slot: Slot, score: int, left: int, left2: int) -> list[int]:
    total = clamp(clamp(score + slot.left2[left2]) + slot.left[left])
    result = []
    for k, bias in enumerate(slot.bias):
        v = clamp(total + bias)
        entry = model.link[min(abs(v), (32 << model.coarse) - 1) >> model.coarse]
        result.append((256 - entry if v < 0 else entry) + k)
    return result


def row_scores(model: Model, slot: Slot, sample, y: int, channel: int) -> list[int]:
    """The scores of a row's columns, all but what the left symbols add."""
    plane = sample[channel]
    width = len(plane[0])
    row1 = plane[y - 1] if y >= 1 else [0] * width
    row2 = plane[y - 2] if y >= 2 else [0] * width
    scores = []
    for x in range(width):
        reference = 0
        for other, table in slot.references:
            reference = clamp(reference + table[sample[other][y][x]])
        up = row1[x]
        near = (
            up,
            row1[x - 1] if x > 0 else 0,
            row1[x + 1] if x + 1 < width else 0,
            row2[x],
            int(up > 0),
        )
        total = slot.offset + reference * (1 << model.shift)
        total += sum(a * s for a, s in zip(slot.above, near, strict=True))
        scores.append(clamp(total >> model.shift))
    return scores


def decode(payload: bytes, block: Block, levels: int, model: Model) -> list[int]:
    if model.channels != block.channels or model.levels != levels:
        raise Refused("payload")
    r = Reader(payload, 0, "payload")
    flags = r.u8()
    if flags > 1:
        raise Refused("payload")
    silent = [0] * block.channels
    if flags:
        bits = Bits(r.take(ceil_div(block.channels, 8)))
        silent = [bits.take(1) for _ in range(block.channels)]
        bits.close()
    chains = 2 if block.samples > 1 and block.size >= 131072 else 1
    used = min(block.channels, LANES)
    states = Single(r) if block.size < 16384 else Lanes(r, used, chains)
    samples = [
        [[[0] * block.width for _ in range(block.height)] for _ in range(block.channels)]
        for _ in range(block.samples)
    ]
    for first in range(0, block.samples, chains):
        turn = samples[first : first + chains]
        for group in range(0, block.channels, LANES):
            decode_group(model, states, turn, range(group, min(group + LANES, block.channels)),
                         silent)  # fmt: skip
    if r.left() or not states.ended():
        raise Refused("payload")
    return [s for sample in samples for plane in sample for row in plane for s in row]


def decode_group(model: Model, states, turn, numbers: range, silent: list[int]) -> None:
    coded = [i for i in numbers if not silent[i]]
    height, width = len(turn[0][0]), len(turn[0][0][0])
    for y in range(height if coded else 0):
        scores = {
            (c, i): row_scores(model, model.slots[i], sample, y, model.order[i])
            for c, sample in enumerate(turn)
            for i in coded
        }
        for x in range(width):
            for c, sample in enumerate(turn):
                for i in coded:
                    row = sample[model.order[i]][y]
                    left = row[x - 1] if x >= 1 else 0
                    left2 = row[x - 2] if x >= 2 else 0
                    thresholds = thresholds_of(model, model.slots[i], scores[c, i][x], left, left2)
                    row[x] = decode_symbol(states, c, i % LANES, thresholds)
