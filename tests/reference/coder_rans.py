"""Sections 7 and 8 of csrc/FORMAT.md: the plane coder and the coder of joined symbols."""

from typing import NamedTuple

from primitives import Bits, Block, Reader, Refused, ceil_div


def decode(payload: bytes, block: Block, levels: int) -> list[int]:
    if len(payload) < 2:
        raise Refused("payload")
    if payload[0] == 0 and levels <= 16:
        return Planes(payload[1:], block, levels).decode()
    if payload[0] == 1:
        return joined(payload[1:], block.size, levels)
    raise Refused("payload")


# --- section 7: planes ------------------------------------------------------------------------


class Tables(NamedTuple):
    classes: list[int]  # of left codes
    levels: list[int]  # of sums
    tables: dict[int, list[int]]  # from context number to C_0..C_N


class Planes:
    """One block; section 7.2's names are kept in lower case."""

    def __init__(self, data: bytes, block: Block, levels: int):
        self.data, self.block, self.levels = data, block, levels

    def decode(self) -> list[int]:
        layout, block = self.data[0], self.block
        if layout & 128:
            if len(self.data) != 1 or layout & 127 >= self.levels:
                raise Refused("payload")
            return [layout & 127] * block.size
        if layout > 15 or layout & 3 == 3:
            raise Refused("payload")
        self.group, self.chains = 8 << (layout & 3), 1 + (layout >> 2 & 1)
        self.make_geometry()
        self.stream = Reader(self.data, 1, "payload")
        self.read_classes(layout & 8)
        self.tables = [self.read_tables() for _ in range(2 if layout & 8 else 1)]
        self.states = [[self.stream.u16() for _ in range(self.group)] for _ in range(self.chains)]
        self.symbols = [0] * block.size
        self.run()
        if self.stream.left() or any(x != 256 for lanes in self.states for x in lanes):
            raise Refused("payload")
        return self.symbols

    def make_geometry(self) -> None:
        block = self.block
        self.planes, self.area = block.samples * block.channels, block.height * block.width
        wanted = self.group * self.chains // self.planes
        width, rows, most = block.width, block.height, block.height // 4
        if wanted > 1 and (block.height == 1 or (block.height < 8 and self.area >= 4096)):
            width = min(max(self.area // 64, 1), 64)
            rows = most = self.area // width
        stripes = max(1, min(wanted, most))
        self.rows = ceil_div(rows, stripes)
        self.stripes = ceil_div(rows, self.rows)
        self.last = rows - (self.stripes - 1) * self.rows
        self.tail = self.area - rows * width
        self.width = width
        self.units = self.planes * self.stripes

    def read_classes(self, split: int) -> None:
        """Section 7.3: the planes in order of their class; self.first are those of class 0."""
        self.order, self.first = list(range(self.planes)), self.planes
        if split:
            turn = self.group * self.chains
            if self.stripes != 1 or self.planes <= turn:
                raise Refused("payload")
            bits = Bits(self.stream.take(ceil_div(self.planes, 8)))
            classes = [bits.take(1) for _ in self.order]
            self.order.sort(key=lambda p: classes[p])
            self.first = classes.count(0)
            if self.first in (0, self.planes) or self.first % turn:
                raise Refused("payload")

    def read_tables(self) -> Tables:
        n, bits = self.levels, Bits(self.stream.data[self.stream.position :])
        codes = 4 if n == 2 else n
        sums = 8 if n == 2 else 1 + self.sum_code(n - 1, n - 1, n - 1)
        classes, levels = self.read_map(bits, codes, 4), self.read_map(bits, sums, 8)
        used = [8 * c + s for c in range(classes[-1] + 1) for s in range(levels[-1] + 1)]
        own = [k == 0 or bits.take(1) == 1 for k in used]
        self.stream.take(bits.close(padding_is_zero=False))
        tables = {}
        for k, is_own in zip(used, own, strict=True):
            if is_own:
                tables[k] = [0, *self.stream.take(n - 1), 256]
                if any(a >= b for a, b in zip(tables[k], tables[k][1:], strict=False)):
                    raise Refused("payload")
            else:
                tables[k] = tables[k - 1 if k % 8 else k - 8]
        return Tables(classes, levels, tables)

    @staticmethod
    def read_map(bits: Bits, count: int, most: int) -> list[int]:
        numbers = [0]
        for _ in range(count - 1):
            numbers.append(numbers[-1] + bits.take(1))
        if numbers[-1] >= most:
            raise Refused("payload")
        return numbers

    def sum_code(self, up: int, upleft: int, upright: int) -> int:
        if self.levels == 2:
            return 4 * up + 2 * upleft + upright
        return (2 * up + upleft + upright) // (
            1 if self.levels <= 4 else 2 if self.levels <= 8 else 4
        )

    def table_for(self, t: Tables, row: list[int], above: list[int]) -> list[int]:
        """C_0..C_N of the next symbol of `row`, given the whole row above it. Section 7.5."""
        x = len(row)
        left = row[-1] if x >= 1 else 0
        left2 = row[-2] if x >= 2 else 0
        upright = above[x + 1] if x + 1 < len(above) else 0
        s = self.sum_code(above[x], above[x - 1] if x else 0, upright)
        q = left + 2 * left2 if self.levels == 2 else left
        return t.tables[8 * t.classes[q] + t.levels[s]]

    def one(self, chain: int, lane: int, t: Tables, row: list[int], above: list[int]) -> int:
        """Decodes the next symbol of `row`. Section 7.7."""
        table = self.table_for(t, row, above)
        state = self.states[chain][lane]
        slot = state & 255
        k = sum(slot >= c for c in table[1:-1])
        state = (table[k + 1] - table[k]) * (state >> 8) + slot - table[k]
        if state < 256:
            state = state << 8 | self.stream.u8()
        self.states[chain][lane] = state
        return k

    def run(self) -> None:
        groups = ceil_div(self.units, self.group)
        zeros = [0] * self.width
        for turn in range(0, groups, self.chains):
            chains = range(min(self.chains, groups - turn))
            tables = self.tables[-1] if turn * self.group >= self.first else self.tables[0]
            above = {}
            for y in range(self.rows):
                rows = {}
                for c in chains:
                    first = (turn + c) * self.group
                    for unit in range(first, min(first + self.group, self.units)):
                        if unit // self.planes < self.stripes - 1 or y < self.last:
                            rows[unit] = []
                for _ in range(self.width):
                    for c in chains:
                        first = (turn + c) * self.group
                        for unit in range(first, min(first + self.group, self.units)):
                            if unit in rows:
                                row = rows[unit]
                                previous = above.get(unit, zeros)
                                row.append(self.one(c, unit - first, tables, row, previous))
                for unit, row in rows.items():
                    stripe, plane = divmod(unit, self.planes)
                    at = self.order[plane] * self.area + (stripe * self.rows + y) * self.width
                    self.symbols[at : at + self.width] = row
                above = rows
        tails = [[] for _ in range(self.planes)]
        for _ in range(self.tail):
            for p, row in enumerate(tails):
                row.append(self.one(0, p, self.tables[0], row, [0] * self.tail))
        for p, row in enumerate(tails):
            end = (p + 1) * self.area
            self.symbols[end - self.tail : end] = row


# --- section 8: joined symbols ----------------------------------------------------------------

TOTAL = 4096


def joined(data: bytes, n: int, levels: int) -> list[int]:
    if len(data) < 2:
        raise Refused("payload")
    layout, k = data[0] & 3, (data[0] >> 2) + 1
    if layout == 1:
        if len(data) != 2 or k != 1 or data[1] >= levels:
            raise Refused("payload")
        return [data[1]] * n
    if levels**k > 256:
        raise Refused("payload")
    count, values = ceil_div(n, k), levels**k
    if layout == 0:
        numbers = list(data[1:])
        if len(numbers) != count or max(numbers) >= values:
            raise Refused("payload")
    else:
        numbers = joined_values(data[1:], layout, k, count, levels)
    symbols = []
    for v in numbers:
        for _ in range(k):
            symbols.append(v % levels)
            v //= levels
    if any(symbols[n:]):
        raise Refused("payload")
    return symbols[:n]


def joined_values(data: bytes, layout: int, k: int, count: int, levels: int) -> list[int]:
    values, bits = levels**k, Bits(data)
    if layout == 2:
        if k == 1:
            raise Refused("payload")
        frequency, escape = product_table(read_numbers(bits, levels), k)
    else:
        frequency, escape = explicit_table(read_numbers(bits, values + 1))
    at = bits.close()
    escapes, at = read_escapes(data, at, count, values) if escape is not None else ([], at)
    bits = Bits(data[at:])
    lanes = 1 if count < 2048 else 4 if count < 4096 else 8 if count < 16384 else 32
    states = []
    for _ in range(lanes):
        length = 15 + bits.take(4)
        states.append((1 << length) + bits.take(length))
    words = Reader(data, at + bits.close(), "payload")
    if words.left() % 2:
        raise Refused("payload")
    return read_values(words, states, frequency, escape, escapes, count)


def read_values(words, states, frequency, escape, escapes, count) -> list[int]:
    owner = [v for v, f in enumerate(frequency) for _ in range(f)]
    start = [sum(frequency[:v]) for v in range(len(frequency))]
    numbers, used = [], 0
    for j in range(count):
        x = states[j % len(states)]
        slot = x % TOTAL
        v = owner[slot]
        x = frequency[v] * (x // TOTAL) + slot - start[v]
        if x < 1 << 15:
            x = x << 16 | words.u16()
        states[j % len(states)] = x
        if v == escape:
            if used == len(escapes):
                raise Refused("payload")
            v = escapes[used]
            used += 1
        numbers.append(v)
    if words.left() or used != len(escapes) or any(x != 1 << 15 for x in states):
        raise Refused("payload")
    return numbers


def read_gamma(bits: Bits) -> int:
    zeros = 0
    while bits.take(1) == 0:
        zeros += 1
        if zeros > 12:
            raise Refused("payload")
    return (1 << zeros) + bits.take(zeros)


def read_numbers(bits: Bits, count: int) -> list[int]:
    numbers, total = [], 0
    while total < TOTAL:
        x = read_gamma(bits)
        run = read_gamma(bits) if x == 1 else 1
        if x > TOTAL or run > count - len(numbers):
            raise Refused("payload")
        numbers += [x - 1] * run
        total += x - 1
        if len(numbers) == count:
            break
    if total != TOTAL:
        raise Refused("payload")
    return numbers + [0] * (count - len(numbers))


def explicit_table(numbers: list[int]) -> tuple[list[int], int | None]:
    pooled, frequency = numbers[0], numbers[1:]
    if pooled == 0:
        return frequency, None
    if 0 not in frequency:
        raise Refused("payload")
    escape = frequency.index(0)
    frequency[escape] = pooled
    return frequency, escape


def product_table(marginal: list[int], k: int) -> tuple[list[int], int | None]:
    weights = [q << 20 for q in marginal]
    for _ in range(k - 1):
        weights = [w * q >> 12 for q in marginal for w in weights]
    rare = [w < 1 << 18 for w in weights]
    frequency = [
        0 if is_rare else max(1, w + (1 << 19) >> 20)
        for w, is_rare in zip(weights, rare, strict=True)
    ]
    pooled = sum(w for w, is_rare in zip(weights, rare, strict=True) if is_rare)
    escape = None
    if pooled > 0:
        escape = rare.index(True)
        frequency[escape] = max(1, pooled + (1 << 19) >> 20)
    settle(frequency)
    if TOTAL in frequency:
        raise Refused("payload")
    return frequency, escape


def settle(frequency: list[int]) -> None:
    excess = sum(frequency) - TOTAL
    while excess != 0:
        top = frequency.index(max(frequency))
        step = min(excess, frequency[top] >> 1)
        frequency[top] -= step
        excess -= step


def read_escapes(data: bytes, at: int, count: int, values: int) -> tuple[list[int], int]:
    r = Reader(data, at, "payload")
    number = 0
    for i in range(5):
        byte = r.u8()
        number |= (byte & 127) << 7 * i
        if byte < 128:
            break
    else:
        raise Refused("payload")
    if number > count:
        raise Refused("payload")
    escapes = list(r.take(number))
    if any(v >= values for v in escapes):
        raise Refused("payload")
    return escapes, r.position
