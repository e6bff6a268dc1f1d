"""Measuring processes and servers: wall time, peak memory, open-loop load, and small statistics. Standard library only.

This process must stay small: Linux counts the parent's resident memory towards a child's `ru_maxrss` until the child has
called exec, so a large orchestrator would put a floor under every memory figure.
"""

import array
import ast
import http.client
import itertools
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Run:
    """One finished process. `peak_rss_mb` is the larger of the largest single process and the largest sampled sum."""

    wall_s: float
    peak_rss_mb: float
    code: int
    stdout: str
    stderr: str
    stopped: bool

    def json(self):
        """The JSON document on stdout; ends the benchmark with the program's own words when there is none."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError:
            raise Failure(f"exit code {self.code} and no JSON on stdout; stderr ends: {self.stderr[-600:]}") from None


class Failure(Exception):
    """A measurement that could not be taken."""


def command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def resident_mb(pid):
    """Returns the resident memory of `pid` and all its descendants, shared pages counted for each.

    A child between fork and exec shares every page with its parent and is no memory of its own; it still has its parent's
    command line, and is given a moment to get on. One that keeps that line counts.
    """
    total, todo, parent = 0.0, [pid], {}
    while todo:
        current = todo.pop()
        try:
            deadline = time.monotonic() + 0.01
            while current in parent and command_line(current) == parent[current] and time.monotonic() < deadline:
                time.sleep(0.0005)
            total += int(pathlib.Path(f"/proc/{current}/statm").read_text().split()[1]) * PAGE_MB
            for task in os.listdir(f"/proc/{current}/task"):
                children = pathlib.Path(f"/proc/{current}/task/{task}/children").read_text().split()
                parent.update(dict.fromkeys(map(int, children), command_line(current)))
                todo += map(int, children)
        except (OSError, ValueError):
            continue  # It ended while being looked at.
    return total


def run(command, env=None, sample=True, limit_s=None):
    """Runs `command` to its end, or stops it after `limit_s` seconds.

    `sample=False` leaves out the memory sampling, for runs so short that it would show in their time.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**os.environ, **(env or {})}, start_new_session=True,
        )
        done, peak, stopped = threading.Event(), [0.0], [False]

        def watch():
            while not done.wait(0.02):
                peak[0] = max(peak[0], resident_mb(process.pid) if sample else 0.0)
                elapsed = time.perf_counter() - began
                if limit_s and elapsed > limit_s and not stopped[0]:
                    stopped[0] = True
                    signal_group(process.pid, signal.SIGTERM)
                elif limit_s and elapsed > limit_s + 20:
                    signal_group(process.pid, signal.SIGKILL)

        watcher = threading.Thread(target=watch)
        if sample or limit_s:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        if watcher.ident:
            watcher.join()
        out.seek(0)
        err.seek(0)
        return Run(wall, max(peak[0], usage.ru_maxrss / 1024), process.returncode, out.read(), err.read(), stopped[0])


def signal_group(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass  # It ended by itself meanwhile.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process for the length of a `with` block, ready when `ready_path` answers 200."""

    def __init__(self, command, port, ready_path, env, patience_s=120):
        self.command, self.port, self.ready_path, self.env, self.patience_s = command, port, ready_path, env, patience_s

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(part) for part in self.command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **self.env},
        )
        give_up = time.monotonic() + self.patience_s
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", self.ready_path)
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        self.__exit__()
        raise Failure(f"the server did not become ready; its log ends: {self.tail}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        self.tail = self.log.read()[-600:]
        self.log.close()


def open_loop(port, path, bodies, rate, n_workers=32):
    """Posts `bodies` at `rate` a second; returns latencies in seconds and the parsed answers, both in the order sent.

    A request's latency counts from when it was due, so a stalled server is charged for the queue behind it.
    """
    latencies, answers = [None] * len(bodies), [None] * len(bodies)
    counter, failures = itertools.count(), []
    began = time.perf_counter() + 0.2

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (i := next(counter)) < len(bodies) and not failures:
            due = began + i / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                connection.request("POST", path, json.dumps(bodies[i]), {"Content-Type": "application/json"})
                response = connection.getresponse()
                data = response.read()
                latencies[i] = time.perf_counter() - due
            except OSError as error:
                failures.append(f"POST {path}: {error}")
                return
            if response.status != 200:
                failures.append(f"POST {path}: status {response.status}: {data[:300]!r}")
                return
            answers[i] = data
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(n_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failure(failures[0])
    return latencies, [json.loads(answer) for answer in answers]


def percentile(values, p):
    """The nearest-rank percentile of `values`, `p` in [0, 100]."""
    return sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def interleave(n, ours, peer):
    """Runs A B A B ..., `n` times each, and returns both lists of results."""
    pairs = [(ours(), peer()) for _ in range(n)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def read_npy(path):
    """Returns the rows of a two-dimensional little-endian float32 .npy file."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY":
        raise Failure(f"{path} is not an .npy file")
    start, size = (10, int.from_bytes(data[8:10], "little")) if data[6] == 1 else (12, int.from_bytes(data[8:12], "little"))
    header = ast.literal_eval(data[start : start + size].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise Failure(f"{path} holds {header['descr']}, C-ordered <f4 is expected")
    return rows_of(data[start + size :], header["shape"][1])


def read_f32(path, dim):
    """Returns the rows of a file of little-endian float32, `[n, dim]`, without a header."""
    return rows_of(pathlib.Path(path).read_bytes(), dim)


def rows_of(data, dim):
    values = array.array("f", data)
    return [values[i : i + dim] for i in range(0, len(values), dim)]


def fresh(path):
    """Returns the empty directory `path`, whatever was there before."""
    shutil.rmtree(path, ignore_errors=True)
    pathlib.Path(path).mkdir(parents=True)
    return pathlib.Path(path)


def machine():
    """One line that says where the figures come from."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown CPU")
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    isa = " ".join(flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags)
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 2**20
    system = os.uname()
    return (f"{name}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} CPUs used, {isa}, {memory:.0f} GiB, "
            f"{system.sysname} {system.release} {system.machine}, load before {os.getloadavg()[0]:.1f}")
