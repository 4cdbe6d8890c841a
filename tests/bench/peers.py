"""The event stream of whendo(1) beside the peers that are installed here, in one run, rounds interleaved.

Prints Markdown. BENCH_ROUNDS (5), BENCH_DIR (/dev/shm), BENCH_PEER_DIRS (10000 directories of
10 files). A tool is ready when a probe file in the directory read last is reported; its CPU and
memory are the process's own (/proc/PID/stat, smaps_rollup).
"""
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
WHENDO = os.path.abspath(os.path.join(BUILD, "whendo"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
DIRS = int(os.environ.get("BENCH_PEER_DIRS", "10000"))
BURST = 100_000
TICK = os.sysconf("SC_CLK_TCK")

STREAMS = {
    "inotifywait": ["inotifywait", "-m", "-r", "-q", "-e", "create,modify,delete,move",
                    "--format", "%e %w%f"],
    "whendo log": [WHENDO, "log", "-q"],
    "whendo log --format json": [WHENDO, "log", "-q", "--format", "json"],
    "fswatch": ["fswatch", "-r", "-l", "0.1", "--allow-overflow", "--event", "Created",
                "--event", "Updated", "--event", "Removed", "--event", "Renamed", "-x"],
    "watchmedo log": ["watchmedo", "log", "-v", "-R"],
}


def installed(command):
    return os.path.exists(command[0]) or shutil.which(command[0])


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pss_mib(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024


def make_tree(top, dirs):
    per = max(1, int(dirs ** 0.5))
    for i in range(dirs):
        d = f"{top}/d{i // per:03d}/e{i % per:03d}"
        os.makedirs(d)
        for k in range(10):
            open(f"{d}/source_{k:02d}.c", "w").close()


class Stream:
    """A tool that prints events, its output in a file."""

    def __init__(self, command, top):
        self.out = tempfile.NamedTemporaryFile(dir=os.path.dirname(top), suffix=".out")
        self.start = time.monotonic()
        # watchmedo's events are lines of a log, on its standard error.
        err = subprocess.STDOUT if command[0] == "watchmedo" else subprocess.DEVNULL
        self.p = subprocess.Popen(command + [top], stdout=self.out, stderr=err,
                                  stdin=subprocess.DEVNULL)

    def text(self, offset=0):
        with open(self.out.name, "rb") as f:
            f.seek(offset)
            return f.read()

    def until_seen(self, probe_dir, limit=60):
        """Seconds from the start until a probe made in the directory was reported."""
        n = 0
        while time.monotonic() - self.start < limit:
            name = f"{probe_dir}/probe{n}"
            open(name, "w").close()
            os.unlink(name)
            n += 1
            time.sleep(0.002)
            if b"/probe" in self.text(max(0, os.path.getsize(self.out.name) - 4096)):
                return time.monotonic() - self.start
        return None

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        try:
            self.p.wait(5)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.out.close()


def ready_round(name, top, figures):
    s = Stream(STREAMS[name], top)
    last = subprocess.check_output(["find", top, "-type", "d"], text=True).splitlines()
    seconds = s.until_seen(last[-1])
    if seconds is not None:
        figures.setdefault("ready", []).append(seconds * 1e3)
        figures.setdefault("cpu", []).append(cpu_s(s.p.pid) * 1e3)
        figures.setdefault("pss", []).append(pss_mib(s.p.pid))
    s.end()


WRITER = """
import os, sys
top = sys.argv[1]
for i in range(int(sys.argv[2])):
    fd = os.open(f"{top}/b{i % 100}/f{i}", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"sixteen bytes..\\n")
    os.close(fd)
"""


def burst_round(name, base, figures):
    top = f"{base}/burst"
    for i in range(100):
        os.makedirs(f"{top}/b{i}")
    s = Stream(STREAMS[name], top)
    if s.until_seen(f"{top}/b99") is not None:
        time.sleep(0.3)
        before = cpu_s(s.p.pid)
        mark = os.path.getsize(s.out.name)
        subprocess.run([sys.executable, "-c", WRITER, top, str(BURST)], check=True)
        size = -1
        while size != os.path.getsize(s.out.name):
            size = os.path.getsize(s.out.name)
            time.sleep(1)
        seen = set(re.findall(rb"/f(\d+)", s.text(mark)))
        figures.setdefault("seen", []).append(100 * len(seen) / BURST)
        figures.setdefault("burst_cpu", []).append((cpu_s(s.p.pid) - before) * 1e6 / BURST)
    s.end()
    shutil.rmtree(top)


def overflow_round(name, base, figures):
    """Stopped while 30,000 files come, then continued: how many are reported?"""
    top = f"{base}/over"
    os.makedirs(top)
    s = Stream(STREAMS[name], top)
    if s.until_seen(top) is not None:
        mark = os.path.getsize(s.out.name)
        s.p.send_signal(signal.SIGSTOP)
        for i in range(30_000):
            open(f"{top}/o{i}", "w").close()
        s.p.send_signal(signal.SIGCONT)
        size = -1
        while size != os.path.getsize(s.out.name):
            size = os.path.getsize(s.out.name)
            time.sleep(1)
        text = s.text(mark)
        figures.setdefault("recovered", []).append(
            100 * len(set(re.findall(rb"/o(\d+)", text))) / 30_000)
    s.end()
    shutil.rmtree(top)


def race_round(name, base, figures):
    """mkdir -p n/a/b/c and a file in it at once, 200 times."""
    top = f"{base}/race"
    os.makedirs(top)
    s = Stream(STREAMS[name], top)
    if s.until_seen(top) is not None:
        mark = os.path.getsize(s.out.name)
        for i in range(200):
            os.makedirs(f"{top}/n{i}/a/b/c")
            open(f"{top}/n{i}/a/b/c/leaf{i}x", "w").close()
        size = -1
        while size != os.path.getsize(s.out.name):
            size = os.path.getsize(s.out.name)
            time.sleep(0.5)
        seen = set(re.findall(rb"/leaf(\d+)x", s.text(mark)))
        figures.setdefault("race", []).append(len(seen))
    s.end()
    shutil.rmtree(top)


def median(figures, key):
    return statistics.median(figures[key]) if figures.get(key) else None


def cell(value, form, base=None):
    if value is None:
        return "-"
    return form % value + (f" (x{value / base:.2f})" if base else "")


def main():
    base = tempfile.mkdtemp(prefix="whendo-peers-", dir=os.environ.get("BENCH_DIR", "/dev/shm"))
    names = [n for n in STREAMS if installed(STREAMS[n])]
    figures = {n: {} for n in names}
    try:
        make_tree(f"{base}/tree", DIRS)
        for _ in range(ROUNDS):
            for n in names:
                ready_round(n, f"{base}/tree", figures[n])
                burst_round(n, base, figures[n])
                overflow_round(n, base, figures[n])
                race_round(n, base, figures[n])
    finally:
        shutil.rmtree(base, ignore_errors=True)
    floor = figures.get("inotifywait", {})
    print(f"Medians of {ROUNDS} interleaved rounds; ratios to inotifywait. Tree of {DIRS} "
          f"directories, {DIRS * 10} files; burst of {BURST} files.\n")
    print("| tool | ready ms | CPU to ready ms | PSS MiB | burst: files reported % | "
          "CPU us/file | stopped for 30,000 files: reported % | mkdir -p race, of 200 |")
    print("|---|---|---|---|---|---|---|---|")
    for n in names:
        f = figures[n]
        print(f"| {n} | {cell(median(f, 'ready'), '%.0f', median(floor, 'ready'))} "
              f"| {cell(median(f, 'cpu'), '%.0f')} | {cell(median(f, 'pss'), '%.1f')} "
              f"| {cell(median(f, 'seen'), '%.1f')} "
              f"| {cell(median(f, 'burst_cpu'), '%.2f', median(floor, 'burst_cpu'))} "
              f"| {cell(median(f, 'recovered'), '%.1f')} | {cell(median(f, 'race'), '%.0f')} |")


main()
