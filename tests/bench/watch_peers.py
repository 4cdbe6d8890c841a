"""The watcher and the event stream of whendo(1) beside other watchers, and beside the least a
program can do: bare inotify and bare fanotify (tests/bench/stream_floor.c, which is also the
small program on the library).

Prints Markdown. Each tool prints what it sees; figures are taken from that. BENCH_ROUNDS (3),
BENCH_DIR (/dev/shm), BENCH_DIRS ("1000 10000 100000" directories of 10 files each). Node's
watchers are looked for below BENCH_NODE (a directory with node_modules); without it, and with
BENCH_INSTALL=1, npm puts them into a temporary directory. What takes a tool longer than SLOW_S is
measured once, and so is what is only counted.
"""
import json
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
FLOOR = os.path.abspath(os.path.join(BUILD, "bench", "stream_floor"))
WHENDO = os.path.abspath(os.path.join(BUILD, "whendo"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SIZES = [int(n) for n in os.environ.get("BENCH_DIRS", "1000 10000 100000").split()]
BURST, STOPPED, LATENCIES, RACES = 100_000, 30_000, 200, 200
LIMIT_S, SLOW_S = 45, 10
TICK = os.sysconf("SC_CLK_TCK")

CHOKIDAR = """import chokidar from 'chokidar';
import fs from 'fs';
chokidar.watch(process.argv[2], {ignoreInitial: true})
  .on('all', (e, p) => fs.writeSync(1, e + ' ' + p + '\\n'));
"""
PARCEL = """import watcher from '@parcel/watcher';
import fs from 'fs';
await watcher.subscribe(process.argv[2], (err, events) => {
  for (const e of events ?? []) fs.writeSync(1, e.type + ' ' + e.path + '\\n');
}, {backend: 'inotify'});
"""


class Tool:
    """How it is started, and how long it waits before it tells (so that probes are apart)."""

    def __init__(self, name, command, settle=0.0, needs=None):
        self.name, self.command, self.settle = name, command, settle
        self.there = os.path.exists(command[0]) or bool(shutil.which(command[0]))
        self.there = self.there and (needs is None or needs())
        self.figures, self.once = {}, set()

    def add(self, key, value):
        if value is not None:
            self.figures.setdefault(key, []).append(value)

    def median(self, key):
        return statistics.median(self.figures[key]) if self.figures.get(key) else None


def node_dir():
    """Where node finds chokidar and @parcel/watcher, or None."""
    where = os.environ.get("BENCH_NODE")
    if not where and os.environ.get("BENCH_INSTALL") and shutil.which("npm"):
        where = tempfile.mkdtemp(prefix="whendo-node-")
        subprocess.run(["npm", "install", "--silent", "--prefix", where, "chokidar",
                        "@parcel/watcher"], check=False, stdout=subprocess.DEVNULL)
    for name, text in (("chokidar.mjs", CHOKIDAR), ("parcel.mjs", PARCEL)):
        if where:
            with open(f"{where}/{name}", "w") as f:
                f.write(text)
    return where


def tools():
    node = node_dir()

    def has(package):
        return lambda: node is not None and subprocess.run(
            ["node", "--input-type=module", "-e", f"import '{package}'"], cwd=node,
            stderr=subprocess.DEVNULL).returncode == 0

    return [
        Tool("bare inotify", [FLOOR, "inotify"]),
        Tool("bare fanotify", [FLOOR, "fanotify"]),
        Tool("this library", [FLOOR, "watcher"]),
        Tool("whendo log", [WHENDO, "log", "-q"]),
        Tool("whendo log --format json", [WHENDO, "log", "-q", "--format", "json"]),
        Tool("inotifywait", ["inotifywait", "-m", "-r", "-q", "-e", "create,modify,delete,move",
                             "--format", "%e %w%f"]),
        Tool("fswatch -l 0.1", ["fswatch", "-r", "-l", "0.1", "--allow-overflow", "--event",
                                "Created", "--event", "Updated", "--event", "Removed", "--event",
                                "Renamed"]),
        Tool("watchmedo log", ["watchmedo", "log", "-v", "-R"]),
        Tool("watchman", ["watchman"], settle=0.06),
        Tool("chokidar", ["node", f"{node}/chokidar.mjs"], needs=has("chokidar")),
        Tool("@parcel/watcher", ["node", f"{node}/parcel.mjs"], settle=0.06,
             needs=has("@parcel/watcher")),
    ]


def family(pid):
    """A process and those it has started."""
    pids = [pid]
    for p in pids:
        try:
            with open(f"/proc/{p}/task/{p}/children") as f:
                pids += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return pids


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def rss_mib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            total += int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1)) / 1024
    return total


class Stream:
    """A running tool; its output goes to a file, or to a pipe where latency is measured."""

    def __init__(self, tool, top, pipe=False):
        self.tool, self.top, self.extra = tool, top, []
        self.out = tempfile.TemporaryFile(dir=os.path.dirname(top))
        to = subprocess.PIPE if pipe else self.out
        self.start = time.monotonic()
        if tool.name == "watchman":
            self.p = self.start_watchman(top, to)
        else:
            # watchmedo logs to standard error.
            self.p = subprocess.Popen(tool.command + [top], stdout=to, stdin=subprocess.DEVNULL,
                                      stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in [self.p] + self.extra:
            p.terminate()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        if self.p.stdout:
            self.p.stdout.close()
        if self.extra:
            shutil.rmtree(self.home, ignore_errors=True)
        self.out.close()

    def start_watchman(self, top, to):
        self.home = tempfile.mkdtemp(prefix="whendo-watchman-")
        sock = f"--sockname={self.home}/sock"
        server = subprocess.Popen(
            ["watchman", sock, f"--statefile={self.home}/state", f"--logfile={self.home}/log",
             f"--pidfile={self.home}/pid", "--foreground"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.extra = [server]
        while not os.path.exists(f"{self.home}/sock"):
            time.sleep(0.01)
        client = ["watchman", sock, "--no-spawn"]
        subprocess.run(client + ["watch", top], stdout=subprocess.DEVNULL, check=True,
                       timeout=LIMIT_S)
        p = subprocess.Popen(client + ["--persistent", "--json-command", "--server-encoding=json",
                                       "--no-pretty"], stdin=subprocess.PIPE, stdout=to,
                             stderr=subprocess.DEVNULL)
        p.stdin.write(json.dumps(["subscribe", top, "bench",
                                  {"fields": ["name"], "empty_on_fresh_instance": True}]).encode()
                      + b"\n")
        p.stdin.flush()
        return p

    def pids(self):
        return [p for one in [self.p] + self.extra for p in family(one.pid)]

    def size(self):
        return os.fstat(self.out.fileno()).st_size

    def text(self, offset=0):
        return os.pread(self.out.fileno(), self.size() - offset, offset)

    def until_seen(self, dirs):
        """Seconds from the start until probes in all these directories were reported."""
        n, unseen = 0, {f"{i}_": d for i, d in enumerate(dirs)}
        made = []
        pause = self.tool.settle or 0.003
        while unseen and time.monotonic() - self.start < LIMIT_S and self.p.poll() is None:
            for i, d in unseen.items():
                made.append(f"{d}/probe{i}{n}")
                open(made[-1], "w").close()
            n += 1
            time.sleep(pause)
            text = self.text()
            unseen = {i: d for i, d in unseen.items() if b"probe" + i.encode() not in text}
        seconds = time.monotonic() - self.start
        for path in made:
            os.unlink(path)
        return None if unseen else seconds

    def until_quiet(self, seconds=1.5):
        size, since = self.size(), time.monotonic()
        end = since + LIMIT_S
        while time.monotonic() - since < seconds and time.monotonic() < end:
            time.sleep(0.1)
            if self.size() != size:
                size, since = self.size(), time.monotonic()


def make_tree(top, dirs):
    per = max(1, int(dirs ** 0.5))
    for i in range(dirs):
        d = f"{top}/d{i // per:03d}/e{i % per:03d}"
        os.makedirs(d)
        for k in range(10):
            os.close(os.open(f"{d}/source_{k:02d}.c", os.O_CREAT | os.O_WRONLY))


def ready_round(tool, top, dirs):
    per = max(1, int(dirs ** 0.5))
    spread = [f"{top}/d{i // per:03d}/e{i % per:03d}" for i in range(0, dirs, dirs // 16)]
    with Stream(tool, top) as s:
        seconds = s.until_seen(spread)
        if seconds is not None:
            tool.add(f"ready {dirs}", seconds * 1e3)
            tool.add(f"rss {dirs}", rss_mib(s.pids()))


WRITER = """
import os, sys
top = sys.argv[1]
for i in range(int(sys.argv[2])):
    fd = os.open(f"{top}/b{i % 100}/f{i}x", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"sixteen bytes..\\n")
    os.close(fd)
"""


def write_burst(top, _):
    subprocess.run([sys.executable, "-c", WRITER, top, str(BURST)], check=True)


def write_stopped(top, s):
    for pid in s.pids():
        os.kill(pid, signal.SIGSTOP)
    for i in range(STOPPED):
        os.close(os.open(f"{top}/f{i}x", os.O_CREAT | os.O_WRONLY))
    for pid in s.pids():
        os.kill(pid, signal.SIGCONT)


def write_race(top, _):
    for i in range(RACES):
        os.makedirs(f"{top}/n{i}/a/b/c")
        os.close(os.open(f"{top}/n{i}/a/b/c/f{i}x", os.O_CREAT | os.O_WRONLY))


def count_round(tool, top, key, files, write):
    """How many of the files that write() makes are reported, and at what cost for each?"""
    below = sorted(e.path for e in os.scandir(top) if e.is_dir())
    with Stream(tool, top) as s:
        if s.until_seen([top] + below[::50]) is None:
            return
        s.until_quiet(0.5)
        before, mark = cpu_s(s.pids()), s.size()
        write(top, s)
        s.until_quiet()
        seen = set(re.findall(rb"[/\"]f(\d+)x", s.text(mark)))
        tool.add(key, 100 * len(seen) / files)
        tool.add(f"{key} cpu", (cpu_s(s.pids()) - before) * 1e6 / files)


def burst_round(tool, top):
    for i in range(100):
        os.mkdir(f"{top}/b{i}")
    count_round(tool, top, "burst", BURST, write_burst)


def stopped_round(tool, top):
    """Stopped while the files come, then continued."""
    count_round(tool, top, "stopped", STOPPED, write_stopped)


def race_round(tool, top):
    """A file in the innermost of four directories that were made at once."""
    count_round(tool, top, "race", RACES, write_race)


def wait_line(fd, seconds):
    if not select.select([fd], [], [], seconds)[0]:
        return False
    return bool(os.read(fd, 1 << 20))


def latencies(tool, path, out):
    """Milliseconds from a write to the line about it, for each of many, when it has told of one."""
    took, end = [], time.monotonic() + LIMIT_S
    with open(path, "wb", buffering=0) as f:
        while time.monotonic() < end:
            f.write(b"x")
            if wait_line(out, 0.3):
                break
        slow = tool.settle or tool.name.startswith(("fsw", "chok"))
        for _ in range(LATENCIES // 4 if slow else LATENCIES):
            time.sleep(0.12 if slow else 0.005)
            while wait_line(out, 0):
                pass
            start = time.perf_counter()
            f.write(b"x")
            if wait_line(out, 1):
                took.append((time.perf_counter() - start) * 1e3)
    return sorted(took)


def latency_round(tool, top):
    path = f"{top}/file"
    open(path, "w").close()
    with Stream(tool, top, pipe=True) as s:
        took = latencies(tool, path, s.p.stdout.fileno())
    if took:
        tool.add("p50", took[len(took) // 2])
        tool.add("p99", took[len(took) * 99 // 100])


def cell(tool, key, form, floor=None):
    value = tool.median(key)
    if value is None:
        return "-"
    return form % value + (f" (x{value / floor:.2f})" if floor else "")


def table(all_tools):
    floor = all_tools[0]
    print(f"Medians of {ROUNDS} interleaved rounds; (x): to bare inotify in the same run; -: not "
          f"within {LIMIT_S} s, or the tool gave up. Ready: from the start of the process until "
          f"files made in 16 places of the tree have been reported. Memory: resident, of all the "
          f"tool's processes. Limits: fs.inotify.max_user_watches "
          f"{open('/proc/sys/fs/inotify/max_user_watches').read().strip()}.\n")
    sizes = "".join(f" ready, {n} directories, ms | MiB |" for n in SIZES)
    print(f"| tool |{sizes} burst of {BURST}: reported | CPU us/file | "
          f"stopped for {STOPPED}: reported | mkdir -p race: reported | "
          f"write to line p50 ms | p99 ms |")
    print("|---|" + "---|---|" * len(SIZES) + "---|---|---|---|---|---|")
    for t in all_tools:
        if not t.there:
            print(f"| {t.name} | not installed |")
            continue
        row = ""
        for n in SIZES:
            row += (f" {cell(t, f'ready {n}', '%.0f', floor.median(f'ready {n}'))} |"
                    f" {cell(t, f'rss {n}', '%.1f')} |")
        print(f"| {t.name} |{row} {cell(t, 'burst', '%.1f %%')} |"
              f" {cell(t, 'burst cpu', '%.2f', floor.median('burst cpu'))} |"
              f" {cell(t, 'stopped', '%.1f %%')} | {cell(t, 'race', '%.1f %%')} |"
              f" {cell(t, 'p50', '%.3f', floor.median('p50'))} | {cell(t, 'p99', '%.3f')} |")


def attempt(tool, what, *args):
    """A tool that fails leaves a gap in the table, not an end of the run."""
    key = (what, args[1:])
    if key in tool.once:
        return
    start = time.monotonic()
    try:
        what(tool, *args)
    except (OSError, subprocess.SubprocessError, AttributeError) as e:
        print(f"{tool.name}: {what.__name__}: {e}", file=sys.stderr)
    took = time.monotonic() - start
    if took > SLOW_S:
        tool.once.add(key)
    if os.environ.get("BENCH_VERBOSE"):
        print(f"{tool.name}: {what.__name__}{args[1:]}: {took:.1f} s", file=sys.stderr)


def main():
    base = tempfile.mkdtemp(prefix="whendo-watchers-", dir=os.environ.get("BENCH_DIR", "/dev/shm"))
    all_tools = tools()
    there = [t for t in all_tools if t.there]
    try:
        for dirs in SIZES:
            make_tree(f"{base}/tree", dirs)
            for _ in range(ROUNDS if dirs < 50_000 else 1):
                for t in there:
                    attempt(t, ready_round, f"{base}/tree", dirs)
            shutil.rmtree(f"{base}/tree")
        for i in range(ROUNDS):
            for t in there:
                # Whether all is reported needs no median.
                for one in (burst_round, latency_round) if i else (
                        burst_round, latency_round, stopped_round, race_round):
                    os.mkdir(f"{base}/fresh")
                    attempt(t, one, f"{base}/fresh")
                    shutil.rmtree(f"{base}/fresh", ignore_errors=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    table(all_tools)


main()
