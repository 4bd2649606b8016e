"""Threads of a service share the C library's pools of memory; a training keeps what it frees."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from mcsdr.files.memory import share_pools
if sys.argv[1] == "shared":
    share_pools()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
all_at_once = threading.Barrier(6)
def take():
    all_at_once.wait()
    libc.malloc(ctypes.c_size_t(3000))
    all_at_once.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks of glibc")
def test_threads_share_two_pools(tmp_path: object) -> None:
    pools = {}
    for how in ("shared", "apart"):
        path = f"{tmp_path}/{how}.xml"
        subprocess.run([sys.executable, "-c", COUNT, how, path], check=True)
        with open(path) as told:
            pools[how] = told.read().count("<heap nr=")
    assert pools["shared"] <= 2 < pools["apart"]


AGAIN = """
import resource, sys
from mcsdr.files.memory import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(64 << 20)
before = faults()
for _ in range(4):
    bytearray(64 << 20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks of glibc")
def test_what_is_freed_is_not_asked_for_again() -> None:
    faults = {}
    for how in ("kept", "given back"):
        told = subprocess.run([sys.executable, "-c", AGAIN, how], check=True, capture_output=True, text=True)
        faults[how] = int(told.stdout)
    assert 10 * faults["kept"] < faults["given back"]
