"""What layers return: what can be selected can be replaced, of the same kind, and nothing else."""

import collections
import dataclasses
import types

import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402

Pair = collections.namedtuple("Pair", "first second")


class Output(collections.OrderedDict):
    """Keys, attributes and indices are one, as in transformer libraries."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __getitem__(self, key):
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]


@dataclasses.dataclass(frozen=True)
class Frozen:
    features: object
    extra: int = 1


@dataclasses.dataclass
class Derived:
    features: object
    extra: int = dataclasses.field(default=1, init=False)


class Slots:
    __slots__ = ("features", "extra")

    def __init__(self, features):
        self.features, self.extra = features, 1


class Sequence:
    def __init__(self, *items):
        self.items = list(items)

    def __getitem__(self, k):
        return self.items[k]

    def __setitem__(self, k, value):
        self.items = [*self.items[:k], value, *self.items[k + 1 :]]


def packed(y):
    return nn.utils.rnn.pack_sequence([y[0], y[1][:2]])


CASES = {
    "object": (lambda y: Output(features=y, pooled=y.mean(1)), (0, -2, "features")),
    "dict": (lambda y: {"features": y, "n": 1}, (0, -2, "features")),
    "integer keys": (lambda y: {7: 0, 0: y}, (0, 1)),
    "tuple": (lambda y: (y, 1), (0, -2)),
    "list": (lambda y: [1, y], (1, -1)),
    "namedtuple": (lambda y: Pair(y, 1), (0, -2, "first")),
    "torch's results": (lambda y: torch.max(y, 1), (0, -2, "values")),
    "packed": (packed, (0, "data")),
    "frozen": (Frozen, ("features",)),
    "derived": (Derived, ("features",)),
    "slots": (Slots, ("features",)),
    "namespace": (lambda y: types.SimpleNamespace(features=y), ("features",)),
    "deque": (lambda y: collections.deque([y, 1]), (0, -2)),
    "own sequence": (lambda y: Sequence(y, 1), (0,)),
    "nested": (lambda y: {"a": [Output(b=(0, y))]}, (("a", 0, 0, 1), (0, 0, "b", -1))),
}


class Layer(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(x.relu())


@pytest.mark.parametrize("name", CASES)
def test_what_can_be_selected_can_be_replaced(name):
    wrap, selects = CASES[name]
    model, x = Layer(wrap), torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(0))
    plain = model(x)
    for select in selects:
        codec = lt.calibrate(model, "", x, select=select, levels=3)
        wanted = codec.simulate(lt.layers.pick(plain, select))
        with lt.attach(model, {"": codec}, select=select) as tap:
            output = model(x)
        assert type(output) is type(plain)
        for way in selects:
            assert torch.equal(lt.layers.pick(output, way), wanted)
        assert not torch.equal(lt.layers.pick(model(x), select), wanted)
        assert tap.report()[0]["calls"] == 1


class Locked:
    def __init__(self, features):
        object.__setattr__(self, "features", features)

    def __setattr__(self, name, value):
        raise AttributeError("locked")


class Computed:
    def __init__(self, y):
        self.y = y

    @property
    def features(self):
        return self.y

    def __getitem__(self, k):
        return self.y


@pytest.mark.parametrize(
    "wrap, select", [(Locked, "features"), (Computed, "features"), (Computed, 0)]
)
def test_what_cannot_be_replaced_is_refused(wrap, select):
    model, x = Layer(wrap), torch.rand(4, 5, 8)
    codec = lt.calibrate(model, "", x, select=select, levels=3)
    with (
        lt.attach(model, {"": codec}, select=select),
        pytest.raises(lwfc.ParameterError, match="can be read but not replaced"),
    ):
        model(x)


@pytest.mark.parametrize("select, text", [(5, "indices 0 to 1"), ("third", "first, second")])
def test_wrong_selections_name_what_is_there(select, text):
    model = Layer(lambda y: Pair(y, 1))
    with pytest.raises(lwfc.ParameterError, match=text):
        lt.calibrate(model, "", torch.rand(4, 5, 8), select=select)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_other_types_are_refused(dtype):
    layer, codec = nn.Identity(), lwfc.Codec([0.5], [0.0, 1.0])
    for mode in ("bitstream", "simulate"):
        with (
            lt.attach(layer, {"": codec}, mode=mode),
            pytest.raises(lwfc.ParameterError, match="only float tensors"),
        ):
            layer(torch.ones(3, 4).to(dtype))
