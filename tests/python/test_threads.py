"""Threads and processes: same bits for every thread count, no GIL, and fork at any moment."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from common import features

import lwfc

SHAPE = (9, 64, 56, 56)  # 9 blocks of a sample each
CODERS = ("raw", "cabac", "rans")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def x():
    return features(SHAPE)


@pytest.fixture(scope="module")
def codec(x):
    return lwfc.calibrate(x[:1], levels=4)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("num_threads", [0, 2, 3, 64, None])
def test_thread_count_changes_no_bit(x, codec, coder, num_threads):
    codec = codec.replace(coder=coder)
    data = codec.encode(x)
    assert codec.encode(x, num_threads=num_threads) == data
    want = codec.decode(data)
    assert np.array_equal(codec.decode(data, num_threads=num_threads), want)
    assert np.array_equal(codec.simulate(x, num_threads=num_threads), want)
    assert np.array_equal(codec.symbols(x, num_threads=num_threads), codec.symbols(x))
    assert lwfc.moments(x, num_threads=num_threads) == lwfc.moments(x)


@pytest.mark.parametrize("samples", [3, 9])  # one block, two
@pytest.mark.parametrize("kind", ["float32", "float16", "last"])
def test_samples_of_few_blocks_are_restored_on_any_thread(samples, kind):
    x = features((samples, 64, 24, 24))
    codec = lwfc.calibrate(x, levels=3, coder="context", restore="linear")
    x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, 3)), 3, 1) if kind == "last" else x
    x = x.astype("float16") if kind == "float16" else x
    data = codec.encode(x)
    want = codec.decode(data, num_threads=1)
    for num_threads in (2, 3, 64):
        out = np.empty_like(x)
        codec.decode(data, out=out, num_threads=num_threads)
        assert np.array_equal(out, want)
        with pytest.raises(lwfc.FormatError):
            codec.decode(data[:-1], num_threads=num_threads)


@pytest.mark.parametrize("num_threads", [-1, 1.5, "2"])
def test_thread_count_is_checked(x, codec, num_threads):
    with pytest.raises(lwfc.ParameterError, match="num_threads"):
        codec.encode(x[:1], num_threads=num_threads)


def test_damage_found_on_any_thread(x, codec):
    data = bytearray(codec.encode(x))
    for position in range(len(data) // 2, len(data), len(data) // 9):
        data[position] ^= 64
    for num_threads in (1, 4):
        with pytest.raises(lwfc.FormatError):
            codec.decode(data, num_threads=num_threads)


def in_parallel(count, work):
    """Results of work(i) on ``count`` threads that start together; exceptions are raised here."""
    barrier = threading.Barrier(count)
    results = [None] * count

    def run(i):
        barrier.wait()
        try:
            results[i] = work(i)
        except BaseException as error:  # noqa: BLE001
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("num_threads", [1, 2])
def test_sixteen_threads_share_a_codec_and_a_buffer(x, codec, num_threads):
    data, want = codec.encode(x), codec.simulate(x)

    def work(i):
        for _ in range(3):
            if i % 2:
                assert codec.encode(x, num_threads=num_threads) == data
            else:
                assert np.array_equal(codec.decode(data, num_threads=num_threads), want)

    in_parallel(16, work)


def test_gil_is_released(x, codec):
    """Another thread keeps counting while this one encodes and decodes."""
    slow = codec.replace(coder="cabac")
    x = np.concatenate([x, x])
    ticks, done = [], threading.Event()

    def count():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        begin = time.perf_counter()
        data = slow.encode(x)
        middle = time.perf_counter()
        slow.decode(data)
        end = time.perf_counter()
    finally:
        done.set()
        thread.join()
    # With the GIL held there would be no tick inside a call; each takes tens of milliseconds.
    assert sum(begin < t < middle for t in ticks) >= 3
    assert sum(middle < t < end for t in ticks) >= 3


def child_work(x, data, want, num_threads, codec):
    """1 if this process codes right."""
    same = codec.encode(x, num_threads=num_threads) == data
    return int(same and np.array_equal(codec.decode(data, num_threads=num_threads), want))


def run_forked(work, seconds=60):
    """The value of work() in a forked child; fails if the child hangs or dies."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the forked child hangs")


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_parallel_work(x, codec):
    data, want = codec.encode(x, num_threads=2), codec.simulate(x, num_threads=2)
    for _ in range(20):
        assert run_forked(lambda: child_work(x, data, want, 2, codec)) == 1
        assert codec.encode(x, num_threads=2) == data


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_during_parallel_work(x, codec):
    """Another thread is inside a parallel region when this one forks."""
    data, want = codec.encode(x), codec.simulate(x)
    done = threading.Event()
    failures = []

    def busy():
        while not done.is_set():
            if codec.encode(x, num_threads=2) != data:
                failures.append("bytes differ")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(10):
            assert run_forked(lambda: child_work(x, data, want, 2, codec)) == 1
    finally:
        done.set()
        thread.join()
    assert not failures


def pool_work(arguments):
    x, codec, num_threads = arguments
    data = codec.encode(x, num_threads=num_threads)
    return data, codec.decode(data, num_threads=num_threads)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_multiprocessing(x, codec, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no start method {method!r} on this system")
    data, want = codec.encode(x, num_threads=2), codec.simulate(x)
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map_async(pool_work, [(x, codec, n) for n in (1, 2, 0)]).get(120)
    for got, y in results:
        assert got == data
        assert np.array_equal(y, want)


COUNT_THREADS = """
import sys, os
import numpy as np
import lwfc
x = np.zeros((8, 64, 56, 56), np.float32)
x[:, ::2] = 3
codec = lwfc.Codec([0.5, 1.5, 2.5], [0, 1, 2, 3])
before = len(os.listdir("/proc/self/task"))
codec.encode(x, num_threads=int(sys.argv[1]))
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc to count threads")
@pytest.mark.parametrize(("environment", "asked", "most"), [("1", 0, 0), ("2", 0, 1), ("1", 1, 0)])
def test_thread_limits_are_kept(environment, asked, most):
    """OMP_NUM_THREADS limits num_threads=0; num_threads=1 starts no thread at all."""
    result = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS, str(asked)],
        env=os.environ | {"OMP_NUM_THREADS": environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) <= most


SMALL_WORK = """
import os
import numpy as np
import lwfc
x = np.maximum(np.random.default_rng(0).normal(size=(8, 70, 4, 4)), 0).astype(np.float32)
before = len(os.listdir("/proc/self/task"))
codec = lwfc.calibrate(x[:2], levels=2, coder="cabac", restore="linear", num_threads=2)
codec.decode(codec.encode(x, num_threads=2), num_threads=2)
print(len(os.listdir("/proc/self/task")) - before)
x = np.tile(x, (1, 1, 4, 4))
codec.decode(codec.encode(x, num_threads=2), num_threads=2)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc to count threads")
def test_small_work_starts_no_thread():
    """Microseconds of work would wait for a busy core; samples of 17,920 values are worth two."""
    result = subprocess.run(
        [sys.executable, "-c", SMALL_WORK], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["0", "1" if lwfc._core.openmp else "0"]


def test_one_thread_is_the_default(x, codec):
    """A call starts no thread unless it was asked to: callers own the machine's cores."""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs /proc to count threads")
    script = COUNT_THREADS.replace(", num_threads=int(sys.argv[1])", "")
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == 0


FORK_FIRST = """
import ctypes, os, signal, sys
{before}
openmp = ctypes.CDLL("libgomp.so.1")
work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
openmp.GOMP_parallel(work, None, 2, 0)
pid = os.fork()
if not pid:
    signal.alarm(60)  # a child that hangs must not stay
    import lwfc
    data = open(sys.argv[1], "rb").read()
    good = lwfc.encode(lwfc.decode(data, num_threads=2), lo=0, hi=1, num_threads=2) == data
    os._exit(0 if good else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@needs_fork
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs libgomp.so.1")
@pytest.mark.parametrize("before", ["import lwfc", ""], ids=["imported", "not imported"])
def test_fork_after_the_openmp_work_of_others(x, tmp_path, before):
    """The parent's OpenMP threads live, and lwfc has not been called, or not even imported."""
    path = tmp_path / "x.lwfc"
    path.write_bytes(lwfc.encode(x, lo=0, hi=1))
    script = FORK_FIRST.format(before=before)
    subprocess.run([sys.executable, "-c", script, path], check=True)
