"""num_threads holds for NumPy's BLAS too, and what was set before comes back."""

import threading

import pytest
from common import features

import lwfc
from lwfc.base import threads


@pytest.fixture
def pools():
    """NumPy's BLAS, set to three threads for the test."""
    found = threads.openblas()
    if not found:
        pytest.skip("this NumPy has a BLAS of another kind")
    before = [pool.get() for pool in found]
    for pool in found:
        pool.set(3)
    yield found
    for pool, count in zip(found, before, strict=True):
        pool.set(count)


def counts(pools):
    return {pool.get() for pool in pools}


@pytest.mark.parametrize(("num_threads", "within"), [(1, {1}), (2, {2}), (8, {3})])
def test_calibrate_limits_blas(pools, num_threads, within):
    seen = {}

    def watch(done, total, what):
        seen[what.partition(":")[0]] = counts(pools)

    lwfc.calibrate(features(), levels=3, coder="context", restore="linear",
                   num_threads=num_threads, progress=watch)  # fmt: skip
    assert seen["context model"] == seen["restoration"] == within
    assert counts(pools) == {3}


def test_limits_that_overlap_share_the_smallest(pools):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with threads.blas_limit(1):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    try:
        with threads.blas_limit(2):
            assert counts(pools) == {2}
            thread.start()
            entered.wait(60)
            assert counts(pools) == {1}
        assert counts(pools) == {1}
    finally:
        leave.set()
        thread.join()
    assert counts(pools) == {3}


def test_an_error_puts_the_count_back(pools):
    with pytest.raises(KeyboardInterrupt), threads.blas_limit(1):
        raise KeyboardInterrupt
    assert counts(pools) == {3}


def test_another_blas_is_left_to_threadpoolctl(pools, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(threads, "openblas", list)
    with threads.blas_limit(1):
        assert counts(pools) == {1}
    with threads.blas_limit(8):
        assert counts(pools) == {3}
    assert counts(pools) == {3}
