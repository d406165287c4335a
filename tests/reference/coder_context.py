"""Section 9 of csrc/FORMAT.md: the calibrated context coder and its model."""

from dataclasses import dataclass, field

from primitives import Bits, Block, Reader, Refused, ceil_div


@dataclass
class Weights:
    """One score of one channel."""

    offset: int
    activity: int
    above: list[int]
    left: list[int]  # what the left symbol 0, 1, ... adds
    left2: list[int]


@dataclass
class Reference:
    channel: int
    place: int
    tables: list[list[int]]  # for each score, by symbol


@dataclass
class Slot:
    """What the model says about one channel."""

    bias: list[int]
    prior: int
    weights: list[Weights]
    references: list[Reference] = field(default_factory=list)


@dataclass
class Model:
    levels: int
    scores: int
    lanes: int
    shift: int
    coarse: int
    channels: int
    link: list[int]
    order: list[int]
    slots: list[Slot]


def read_model(blob: bytes) -> Model:
    r = Reader(blob, 0, "section")
    version, levels, scores, lanes, shift, coarse = (r.u8() for _ in range(6))
    channels = r.u16()
    link = list(r.take(32))
    if (
        version != 1
        or not 2 <= levels <= 16
        or not 1 <= scores <= (2 if levels > 2 else 1)
        or lanes not in (8, 16, 32)
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
    model = Model(levels, scores, lanes, shift, coarse, channels, link, order, [])
    for group in groups_of(channels, lanes):
        model.slots += [read_slot(r, model, group.start) for _ in group]
    if r.left():
        raise Refused("section")
    return model


def groups_of(channels: int, lanes: int) -> list[range]:
    """The slots of each group: `lanes`, but the first group takes what is left over."""
    first = (channels - 1) % lanes + 1
    return [range(first)] + [range(i, i + lanes) for i in range(first, channels, lanes)]


def read_slot(r: Reader, model: Model, earlier: int) -> Slot:
    """The next record; its references name one of the `earlier` first slots."""
    bias = [r.i8() for _ in range(model.levels - 1)]
    if any(a < b for a, b in zip(bias, bias[1:], strict=False)):
        raise Refused("section")
    slot = Slot(bias, r.u8(), [read_weights(r, model.levels) for _ in range(model.scores)])
    slot.references = [read_reference(r, model, earlier) for _ in range(r.u8())]
    for i in range(0, len(slot.references), 4):
        for score in range(model.scores):
            tables = [reference.tables[score] for reference in slot.references[i : i + 4]]
            if sum(map(max, tables)) > 127 or sum(map(min, tables)) < -128:
                raise Refused("section")
    return slot


def read_weights(r: Reader, levels: int) -> Weights:
    offset, activity = r.i16(), r.i8()
    if not -8192 <= offset <= 8192:
        raise Refused("section")
    above = [r.i8() for _ in range(5 if levels > 2 else 4)]
    above += [0] * (5 - len(above))
    return Weights(offset, activity, above, read_sums(r, levels), read_sums(r, levels))


def read_reference(r: Reader, model: Model, earlier: int) -> Reference:
    named, place = r.u16(), r.u8()
    if named >= earlier or place > 4:
        raise Refused("section")
    tables = []
    for _ in range(model.scores):
        base, first = r.i8(), r.i8()
        slope = r.i8() if model.levels > 2 else 0
        tables.append([base] + [base + first + s * slope for s in range(model.levels - 1)])
        if not all(-128 <= v <= 127 for v in tables[-1]):
            raise Refused("section")
    return Reference(model.order[named], place, tables)


def read_sums(r: Reader, levels: int) -> list[int]:
    sums = [0]
    for _ in range(levels - 1):
        sums.append(sums[-1] + r.i8())
    if not all(-128 <= v <= 127 for v in sums):
        raise Refused("section")
    return sums


def clamp(v: int) -> int:
    return max(-128, min(127, v))


class States:
    """Section 9.5: what Lanes and Single share; `least` is the lowest state."""

    def __init__(self, stream: Reader, least: int, states: list[list[int]]):
        self.stream, self.least, self.states = stream, least, states
        if any(x < least for chain in states for x in chain):
            raise Refused("payload")

    def decode(self, chain: int, lane: int, thresholds: list[int]) -> int:
        """`thresholds` are C_1..C_{N-1}."""
        x = self.states[chain][lane]
        slot = x & 255
        symbol = sum(c <= slot for c in thresholds)
        table = [0, *thresholds, 256]
        x = (table[symbol + 1] - table[symbol]) * (x >> 8) + slot - table[symbol]
        if x < self.least:
            x = x << 8 | self.stream.u8()
        self.states[chain][lane] = x
        return symbol

    def ended(self) -> bool:
        return all(x == self.least for chain in self.states for x in chain)


class Lanes(States):
    """The states of a group's lanes (large blocks)."""

    def __init__(self, r: Reader, used: int, chains: int):
        super().__init__(r, 256, [[r.u16() for _ in range(used)] for _ in range(chains)])


class Single(States):
    """One wider state (small blocks)."""

    def __init__(self, r: Reader):
        state = int.from_bytes(r.take(3), "little")
        if state >= 1 << 23:
            raise Refused("payload")
        super().__init__(r, 1 << 15, [[state]])

    def decode(self, chain: int, lane: int, thresholds: list[int]) -> int:
        return super().decode(0, 0, thresholds)


def thresholds_of(model: Model, slot: Slot, scores: list[int], left: int, left2: int) -> list[int]:
    z = [
        clamp(clamp(score + w.left2[left2]) + w.left[left])
        for score, w in zip(scores, slot.weights, strict=True)
    ]
    spread = z[1] if len(z) > 1 else 0
    result, before = [], 127
    for k, bias in enumerate(slot.bias):
        side = (2 * k < model.levels - 2) - (2 * k > model.levels - 2)
        before = v = min(before, clamp(clamp(z[0] + bias) + side * spread))
        entry = model.link[min(abs(v), (32 << model.coarse) - 1) >> model.coarse]
        result.append((256 - entry if v < 0 else entry) + k)
    return result


def row_mean(plane: list[list[int]], y: int, prior: int) -> int:
    total, width = sum(map(sum, plane[:y])), len(plane[0])
    drawn = 16 * total + 2 * width * prior
    return drawn * ((1 << 24) // (width * (y + 2))) % (1 << 32) >> 24


def seen(sample, reference: Reference, i: int, width: int) -> int:
    """The symbol that a reference sees from position i of the plane."""
    plane = sample[reference.channel]
    at = i + (0, 1, width, -1, -width)[reference.place]
    return plane[at // width][at % width] if 0 <= at < len(plane) * width else 0


def row_scores(model: Model, slot: Slot, sample, y: int, channel: int) -> list[list[int]]:
    """Both scores of a row's columns, all but what the left symbols add."""
    plane = sample[channel]
    width = len(plane[0])
    row1 = plane[y - 1] if y >= 1 else [0] * width
    row2 = plane[y - 2] if y >= 2 else [0] * width
    mean = row_mean(plane, y, slot.prior)
    columns = []
    for x in range(width):
        up = row1[x]
        near = (
            up,
            row2[x],
            row1[x - 1] if x > 0 else 0,
            row1[x + 1] if x + 1 < width else 0,
            int(up > 0),
        )
        column = []
        for score, w in enumerate(slot.weights):
            added = [
                reference.tables[score][seen(sample, reference, y * width + x, width)]
                for reference in slot.references
            ]
            total = 0
            for i in range(0, len(added), 4):
                total = clamp(total + sum(added[i : i + 4]))
            total = total * (1 << model.shift) + w.offset + w.activity * mean // 8
            total += sum(a * s for a, s in zip(w.above, near, strict=True))
            column.append(clamp(total >> model.shift))
        columns.append(column)
    return columns


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
    used = min(block.channels, model.lanes)
    states = Single(r) if block.size < 16384 else Lanes(r, used, chains)
    symbols = decode_samples(model, states, block, chains, silent)
    if r.left() or not states.ended():
        raise Refused("payload")
    return symbols


def decode_samples(model: Model, states, block: Block, chains: int, silent: list[int]) -> list[int]:
    """Section 9.3."""
    samples = [
        [[[0] * block.width for _ in range(block.height)] for _ in range(block.channels)]
        for _ in range(block.samples)
    ]
    for first in range(0, block.samples, chains):
        turn = samples[first : first + chains]
        for group in groups_of(block.channels, model.lanes):
            decode_group(model, states, turn, group, silent)
    return [s for sample in samples for plane in sample for row in plane for s in row]


def decode_group(model: Model, states, turn, numbers: range, silent: list[int]) -> None:
    coded = [(i - numbers.start, i) for i in numbers if not silent[i]]
    height, width = len(turn[0][0]), len(turn[0][0][0])
    for y in range(height if coded else 0):
        scores = {
            (c, i): row_scores(model, model.slots[i], sample, y, model.order[i])
            for c, sample in enumerate(turn)
            for _, i in coded
        }
        for x in range(width):
            for c, sample in enumerate(turn):
                for lane, i in coded:
                    row = sample[model.order[i]][y]
                    left = row[x - 1] if x >= 1 else 0
                    left2 = row[x - 2] if x >= 2 else 0
                    thresholds = thresholds_of(model, model.slots[i], scores[c, i][x], left, left2)
                    row[x] = states.decode(c, lane, thresholds)
