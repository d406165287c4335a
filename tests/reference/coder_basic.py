"""Sections 5.1 to 5.3 of csrc/FORMAT.md: constant blocks, packed symbols, the paper's coder."""

from primitives import Bits, Block, Refused, ceil_div


def constant(payload: bytes, block: Block, levels: int) -> list[int]:
    if len(payload) != 1 or payload[0] >= levels:
        raise Refused("payload")
    return [payload[0]] * block.size


def raw(payload: bytes, block: Block, levels: int) -> list[int]:
    width = (levels - 1).bit_length()
    if len(payload) != ceil_div(block.size * width, 8):
        raise Refused("payload")
    bits = Bits(payload)
    symbols = [bits.take(width) for _ in range(block.size)]
    bits.close()
    if max(symbols) >= levels:
        raise Refused("payload")
    return symbols


class BinContext:
    """P(bin = 1) in units of 1/65536, and how many bins it has seen (at most 254)."""

    def __init__(self):
        self.one, self.seen = 32768, 0

    def update(self, bin_: int) -> None:
        step = 65536 // (self.seen + 2)
        if bin_:
            self.one += (65536 - self.one) * step >> 16
        else:
            self.one -= self.one * step >> 16
        self.seen = min(self.seen + 1, 254)


def cabac(payload: bytes, block: Block, levels: int) -> list[int]:
    if payload and payload[-1] == 0:
        raise Refused("payload")
    contexts = [BinContext() for _ in range(levels - 1)]
    code = int.from_bytes((payload + bytes(4))[:4], "big")
    span, at = 0xFFFFFFFF, 4
    if code >= span:
        raise Refused("payload")
    symbols = []
    for _ in range(block.size):
        symbol = 0
        while symbol < levels - 1:
            context = contexts[symbol]
            bound = span * context.one >> 16
            bin_ = int(code < bound)
            if bin_:
                span = bound
            else:
                code, span = code - bound, span - bound
            context.update(bin_)
            while span < 1 << 24:
                code = code << 8 | (payload[at] if at < len(payload) else 0)
                span, at = span << 8, at + 1
            if not bin_:
                break
            symbol += 1
        symbols.append(symbol)
    if at < len(payload):
        raise Refused("payload")
    return symbols
