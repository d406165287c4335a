"""Section 1 of csrc/FORMAT.md: bytes, bits, varints and checksums."""

from typing import NamedTuple


class Refused(Exception):
    """Bytes that a decoder must refuse; the text is the field at fault."""


class Block(NamedTuple):
    samples: int
    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        return product(self)


def product(numbers) -> int:
    n = 1
    for i in numbers:
        n *= i
    return n


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


class Reader:
    """Takes little-endian fields off the front of `data`."""

    def __init__(self, data: bytes, position: int = 0, failure: str = "length"):
        self.data, self.position, self.failure = data, position, failure

    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, n: int) -> bytes:
        if n > self.left():
            raise Refused(self.failure)
        self.position += n
        return self.data[self.position - n : self.position]

    def u8(self) -> int:
        return self.take(1)[0]

    def i8(self) -> int:
        return int.from_bytes(self.take(1), "little", signed=True)

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def i16(self) -> int:
        return int.from_bytes(self.take(2), "little", signed=True)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        """Seven bits a byte, least significant first, at most nine bytes, no longer than needed."""
        value = 0
        for i in range(9):
            byte = self.u8()
            value |= (byte & 127) << 7 * i
            if byte < 128:
                if byte == 0 and i > 0:
                    raise Refused("shape")
                return value
        raise Refused("shape")


class Bits:
    """Bit fields: bit 0 of the first byte first, numbers least significant bit first."""

    def __init__(self, data: bytes, failure: str = "payload"):
        self.data, self.at, self.failure = data, 0, failure

    def take(self, count: int) -> int:
        value = 0
        for i in range(count):
            if self.at >= 8 * len(self.data):
                raise Refused(self.failure)
            value |= (self.data[self.at // 8] >> self.at % 8 & 1) << i
            self.at += 1
        return value

    def close(self, padding_is_zero: bool = True) -> int:
        """Ends the field at a byte boundary; returns the bytes it took."""
        while self.at % 8:
            if self.take(1) and padding_is_zero:
                raise Refused(self.failure)
        return self.at // 8


def crc_table() -> list[int]:
    table = []
    for byte in range(256):
        c = byte
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        table.append(c)
    return table


CRC_TABLE = crc_table()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def fnv1a(data: bytes) -> int:
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % (1 << 64)
    return digest
