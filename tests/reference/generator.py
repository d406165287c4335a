"""Writes valid streams, among them many that the encoder never would: any layout, any tables.

The plane and context coders are run forwards by the reference decoder with a "decoder" that makes
symbols up as it goes and notes which interval each one took; the states and bytes then follow
backwards. So the generator needs no second description of the order of symbols.
"""

import random

import coder_context
import coder_rans
from primitives import Block, Reader, ceil_div, crc32c


def varint(n: int) -> bytes:
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def make_stream(shape, axis, values, blocks, coder=2, tag=None, dtype=0) -> bytes:
    """A stream; `values`: rows of floats as bytes, stored whole; `tag`: of a bound stream."""
    head = b"\xc5L" + bytes([1 << 5 | (tag is not None) << 4 | coder, dtype << 4 | len(shape)])
    head += bytes([(axis + 1 if axis is not None else 0) << 4])
    if tag is None:
        head += bytes([len(values[0]) // 4 - 1, 1 | (len(values) > 1) << 1])
    else:
        head += tag.to_bytes(4, "little")
    head += b"".join(varint(n) for n in shape)
    head += b"".join(values) if tag is None else b""
    if len(blocks) > 1:
        head += b"".join(varint(len(b)) + crc32c(b).to_bytes(4, "little") for b in blocks)
    covered = head + (blocks[0] if len(blocks) == 1 else b"")
    return head + crc32c(covered).to_bytes(4, "little") + b"".join(blocks)


class BitWriter:
    def __init__(self):
        self.bits = []

    def put(self, value: int, count: int) -> None:
        self.bits += [value >> i & 1 for i in range(count)]

    def bytes(self) -> bytes:
        bits = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(
            sum(b << i for i, b in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
        )


def pick(rng: random.Random, table: list[int], busy: float) -> int:
    """A symbol: by its probability, or any at all."""
    if rng.random() < busy:
        return rng.randrange(len(table) - 1)
    slot = rng.randrange(256)
    return sum(slot >= c for c in table[1:-1])


def code_backwards(steps, states, least: int) -> bytes:
    """steps: (chain, lane, start, frequency) in order of decoding. Leaves the start states."""
    out = bytearray()
    for chain, lane, start, frequency in reversed(steps):
        x = states[chain][lane]
        if x >= frequency * least:
            out.append(x & 255)
            x >>= 8
        states[chain][lane] = (x // frequency << 8) + start + x % frequency
    return bytes(reversed(out))


# --- planes -----------------------------------------------------------------------------------


class InventedPlanes(coder_rans.Planes):
    def __init__(self, block: Block, levels: int, layout: int, rng: random.Random):
        super().__init__(bytes([layout]), block, levels)
        self.rng, self.busy, self.steps = rng, rng.choice((0, 0.02, 1)), []

    def one(self, chain, lane, t, row, above):
        table = self.table_for(t, row, above)
        k = pick(self.rng, table, self.busy)
        self.steps.append((chain, lane, table[k], table[k + 1] - table[k]))
        return k

    def invent_map(self, count: int, most: int, bits: BitWriter) -> int:
        cuts = self.rng.sample(range(count - 1), self.rng.randrange(min(most, count)))
        bits.put(sum(1 << i for i in cuts), count - 1)
        return len(cuts) + 1

    def invent_tables(self) -> bytes:
        n, rng, bits = self.levels, self.rng, BitWriter()
        codes = 4 if n == 2 else n
        sums = 8 if n == 2 else 1 + self.sum_code(n - 1, n - 1, n - 1)
        used = self.invent_map(codes, 4, bits) * self.invent_map(sums, 8, bits)
        own = [1] + [rng.randrange(2) for _ in range(used - 1)]
        for bit in own[1:]:
            bits.put(bit, 1)
        tables = [bytes(sorted(rng.sample(range(1, 256), n - 1))) for _ in range(sum(own))]
        return bits.bytes() + b"".join(tables)

    def invent_classes(self) -> bytes:
        turn = self.group * self.chains
        first = turn * self.rng.randrange(1, ceil_div(self.planes, turn))
        ones = self.rng.sample(range(self.planes), self.planes - first)
        bits = BitWriter()
        bits.put(sum(1 << p for p in ones), self.planes)
        return bits.bytes()

    def invent(self) -> bytes:
        layout = self.data[0]
        self.group, self.chains = 8 << (layout & 3), 1 + (layout >> 2 & 1)
        self.make_geometry()
        if layout & 8 and (self.stripes != 1 or self.planes <= self.group * self.chains):
            layout &= 7
        head = bytes([layout]) + (self.invent_classes() if layout & 8 else b"")
        head += b"".join(self.invent_tables() for _ in range(2 if layout & 8 else 1))
        self.stream = Reader(head, 1, "payload")
        self.read_classes(layout & 8)
        self.tables = [self.read_tables() for _ in range(2 if layout & 8 else 1)]
        self.symbols = [0] * self.block.size
        self.run()
        states = [[256] * self.group for _ in range(self.chains)]
        stream = code_backwards(self.steps, states, 256)
        return head + b"".join(x.to_bytes(2, "little") for c in states for x in c) + stream


def planes(block: Block, levels: int, rng: random.Random) -> tuple[bytes, list[int]]:
    """A block (method byte included) and its symbols."""
    layout = rng.randrange(3) | rng.randrange(2) << 2 | rng.randrange(2) << 3
    invented = InventedPlanes(block, levels, layout, rng)
    payload = invented.invent()
    return b"\x02\x00" + payload, invented.symbols


# --- joined symbols ---------------------------------------------------------------------------


def write_gamma(bits: BitWriter, x: int) -> None:
    n = x.bit_length() - 1
    bits.put(1 << n, n + 1)
    bits.put(x - (1 << n), n)


def write_numbers(bits: BitWriter, numbers: list[int], rng: random.Random) -> None:
    total, i = 0, 0
    while total < 4096:
        write_gamma(bits, numbers[i] + 1)
        total += numbers[i]
        run = 1
        if numbers[i] == 0:
            most = next(j for j in range(i, len(numbers)) if numbers[j]) - i
            run = rng.choice((1, most))  # the encoder always takes the whole run
            write_gamma(bits, run)
        i += run


def invent_numbers(count: int, rng: random.Random) -> list[int]:
    """Sum 4096, none of 4096, some zeros."""
    while True:
        kinds = rng.randrange(2, min(count, rng.choice((2, 8, 300))) + 1)
        where = sorted(rng.sample(range(count), kinds))
        cuts = [0, *sorted(rng.sample(range(1, 4096), kinds - 1)), 4096]
        numbers = [0] * count
        for i, at in enumerate(where):
            numbers[at] = cuts[i + 1] - cuts[i]
        if rng.random() < 0.3:
            numbers[where[0]] += numbers[where[-1]] - 1
            numbers[where[-1]] = 1
        if max(numbers) < 4096:
            return numbers


def joined_table(levels: int, k: int, layout: int, rng: random.Random):
    """(bytes, frequencies, escape value or None); None where no such table exists."""
    bits, values = BitWriter(), levels**k
    if layout == 2:
        numbers = invent_numbers(levels, rng)
        try:
            frequency, escape = coder_rans.product_table(numbers, k)
        except coder_rans.Refused:
            return None
    else:
        numbers = invent_numbers(values + 1, rng)
        if numbers[0] and 0 not in numbers[1:]:
            return None
        frequency, escape = coder_rans.explicit_table(list(numbers))
    write_numbers(bits, numbers, rng)
    return bits.bytes(), frequency, escape


def joined(block: Block, levels: int, rng: random.Random) -> tuple[bytes, list[int]]:
    n, longest = block.size, 1
    while levels ** (longest + 1) <= 256:
        longest += 1
    k = rng.randint(1, longest)
    layout = rng.choice((0, 2, 2, 3, 3) if k > 1 else (0, 1, 3, 3))
    head = bytes([layout | k - 1 << 2])
    if layout == 1:
        symbol = rng.randrange(levels)
        return b"\x02\x01" + head + bytes([symbol]), [symbol] * n
    table = joined_table(levels, k, layout, rng) if layout > 1 else (b"", [1] * levels**k, None)
    if table is None:
        return joined(block, levels, rng)
    table_bytes, frequency, escape = table
    codable = [v for v, f in enumerate(frequency) if (f and v != escape) or escape is not None]
    weights = [frequency[v] if rng.random() < 0.9 else 1 + frequency[v] for v in codable]
    count = ceil_div(n, k)
    numbers = rng.choices(codable, weights, k=count) if any(weights) else codable[:1] * count
    last = [v for v in codable if v < levels ** (n - (count - 1) * k)]
    if not last:
        return joined(block, levels, rng)
    numbers[-1] = rng.choice(last)
    symbols = [v // levels**i % levels for v in numbers for i in range(k)][:n]
    if layout == 0:
        return b"\x02\x01" + head + bytes(numbers), symbols
    body = joined_body(numbers, frequency, escape)
    return b"\x02\x01" + head + table_bytes + body, symbols


def joined_body(numbers: list[int], frequency: list[int], escape: int | None) -> bytes:
    start = [sum(frequency[:v]) for v in range(len(frequency))]
    escapes, coded = bytearray(), []
    for v in numbers:
        if v == escape or frequency[v] == 0:
            escapes.append(v)
            v = escape
        coded.append(v)
    count = len(numbers)
    lanes = 1 if count < 2048 else 4 if count < 4096 else 8 if count < 16384 else 32
    states, words = [1 << 15] * lanes, []
    for j in range(count - 1, -1, -1):
        x, f = states[j % lanes], frequency[coded[j]]
        if x >> 19 >= f:
            words.append(x & 65535)
            x >>= 16
        states[j % lanes] = (x // f << 12) + start[coded[j]] + x % f
    bits = BitWriter()
    for x in states:
        length = x.bit_length() - 1
        bits.put(length - 15, 4)
        bits.put(x - (1 << length), length)
    body = varint(len(escapes)) + bytes(escapes) if escape is not None else b""
    return body + bits.bytes() + b"".join(w.to_bytes(2, "little") for w in reversed(words))


# --- context coder ----------------------------------------------------------------------------


class InventedStates:
    """Stands for `coder_context.States`: makes symbols up and notes their intervals."""

    def __init__(self, rng: random.Random, single: bool, lanes: int, chains: int):
        self.rng, self.single, self.steps = rng, single, []
        self.busy = rng.choice((0, 0.02, 1))
        self.states = [[1 << 15]] if single else [[256] * lanes for _ in range(chains)]

    def decode(self, chain: int, lane: int, thresholds: list[int]) -> int:
        table = [0, *thresholds, 256]
        k = pick(self.rng, table, self.busy)
        where = (0, 0) if self.single else (chain, lane)
        self.steps.append((*where, table[k], table[k + 1] - table[k]))
        return k

    def bytes(self) -> bytes:
        stream = code_backwards(self.steps, self.states, 1 << 15 if self.single else 256)
        size = 3 if self.single else 2
        return b"".join(x.to_bytes(size, "little") for c in self.states for x in c) + stream


def context(block: Block, model: coder_context.Model, rng) -> tuple[bytes, list[int]]:
    chains = 2 if block.samples > 1 and block.size >= 131072 else 1
    masked = rng.random() < 0.5
    share = rng.choice((0, 0.3, 0.95))
    silent = [int(masked and rng.random() < share) for _ in range(block.channels)]
    states = InventedStates(rng, block.size < 16384, min(block.channels, model.lanes), chains)
    symbols = coder_context.decode_samples(model, states, block, chains, silent)
    bits = BitWriter()
    for bit in silent if masked else []:
        bits.put(bit, 1)
    return bytes([3, masked]) + bits.bytes() + states.bytes(), symbols
