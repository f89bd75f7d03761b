#!/usr/bin/env python3
"""What the tool costs: its size, the processor time and the syncs of `exec`, lists of a million runs, traces of ten million lines.

`benches/tool.py BINARY [RUNS] [LINES]`, where BINARY is the release build with the feature `cli`. Needs strip, and strace for the syncs.
"""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time


def processor_ms(words, environment, times=60):
    """The processor time of one call and of all that it starts, in milliseconds: the mean of so many."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / times * 1000


def wall_ms(words, environment):
    begun = time.monotonic()
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True)
    return (time.monotonic() - begun) * 1000, done.stdout.count(b"\n")


def exec_costs(binary, environment):
    words = [binary, "exec", "--name", "a", "--", "true"]
    subprocess.run(words, env=environment, check=True)
    alone = processor_ms(["true"], environment)
    print(f"exec -- true: {processor_ms(words, environment):.1f} ms of a processor, of which true alone {alone:.1f}, "
          f"and --version {processor_ms([binary, '--version'], environment):.1f}")
    if shutil.which("strace"):
        traced = subprocess.run(["strace", "-f", "-e", "trace=fsync,fdatasync", *words], env=environment,
                                stderr=subprocess.PIPE, text=True, check=True).stderr
        print(f"exec -- true: {traced.count('sync(')} syncs")


def fill(path, runs):
    """Copies the one run of a store, each a second after the one before."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    names = [row[1] for row in connection.execute("PRAGMA table_info(record)")]
    run = dict(zip(names, connection.execute("SELECT * FROM record WHERE ns = 1").fetchone()))
    first, begin = run["id"] + 1000, run["created_at"] - runs * 1000

    def copies():
        for index in range(runs):
            at = begin + index * 1000
            key = f"{at >> 16:08x}-{at & 0xffff:04x}-7{index & 0xfff:03x}-8{index >> 12 & 0xfff:03x}-{index:012x}"
            changed = {"id": first + index, "key": key, "kind": f"job{index % 40}", "batch": os.urandom(16),
                       "created_at": at, "updated_at": at + 50}
            yield tuple({**run, **changed}[name] for name in names)

    places = ",".join("?" * len(names))
    connection.executemany(f"INSERT INTO record VALUES ({places})", copies())
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def lists(binary, environment, path, runs):
    subprocess.run([binary, "exec", "--name", "seed", "--", "true"], env=environment, check=True)
    fill(path, runs)
    for words in (["runs"], ["runs", "--job", "job7"], ["runs", "--state", "needs_review"], ["dead-letters"]):
        wall_ms([binary, "--json", *words], environment)
        took, lines = wall_ms([binary, "--json", *words], environment)
        print(f"{' '.join(words)} of {runs} runs: {took:.0f} ms, {lines} lines")


def streamed(binary, words, block, blocks):
    child = subprocess.Popen([binary, "--json", *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def write():
        for index in range(blocks):
            child.stdin.write(block(index))
        child.stdin.close()

    begun, peak, writer = time.monotonic(), 0, threading.Thread(target=write)
    writer.start()
    while child.poll() is None:
        with open(f"/proc/{child.pid}/status", encoding="ascii", errors="replace") as status:
            peak = max([peak, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
        time.sleep(0.05)
    writer.join()
    print(f"{' '.join(words)}, {blocks * 10_000} lines: {time.monotonic() - begun:.1f} s, {peak / 1024:.1f} MB of memory")


def main():
    binary = os.path.abspath(sys.argv[1])
    runs, lines = (int(word) for word in (sys.argv[2:] + ["1000000", "10000000"][len(sys.argv) - 2:]))
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "unattended")
        subprocess.run(["strip", "-o", stripped, binary], check=True)
        print(f"stripped: {os.path.getsize(stripped) / 1e6:.2f} MB")
        for name in ("a.db", "million.db"):
            path = os.path.join(folder, name)
            environment = {**os.environ, "UNATTENDED_STORE": path, "HOME": folder}
            if name == "a.db":
                exec_costs(stripped, environment)
            else:
                lists(stripped, environment, path, runs)
        trend = lambda at: b"".join(b'{"t":%d,"bad":%s}\n' % ((at * 10_000 + i) * 1000, b"false" if i % 20 else b"true")
                                    for i in range(10_000))
        streamed(stripped, ["simulate", "trend"], trend, lines // 10_000)
        pairs = b"".join(b"a text of some words, number %d\ta text of other words, number %d\n" % (i, i) for i in range(10_000))
        streamed(stripped, ["similarity", "--text", "--pairs", "-"], lambda _: pairs, lines // 10_000)


main()
