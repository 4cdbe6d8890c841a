"""whendo(1) as its user feels it, beside the peers that are installed here: start-up, from a save
to the start of the command, what one save and a deaf child lead to, and what printing costs.

Prints Markdown. All tools of a table are at work at the same time, each on a directory of its
own, and take turns within a round; a program that is not found in PATH has no figures.
BENCH_ROUNDS (100) is the number of saves that are timed, BENCH_DIR (/dev/shm) where this happens.
"""
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
WHENDO = BUILD + "/whendo"
STAMP = BUILD + "/programs/stamp"
LEAST = BUILD + "/programs/watch_and_spawn"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "100"))
CREATIONS = 100_000
IDLE_S = 1.2  # each save finds a tree that was idle for longer than any tool's memory
TICK = os.sysconf("SC_CLK_TCK")
NULL = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def installed(argv):
    return bool(os.path.exists(argv[0]) or shutil.which(argv[0]))


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def cell(value, form="%.2f", base=None):
    if value is None:
        return "-"
    return form % value + (f" (x{value / base:.2f})" if base else "")


def name_of(argv):
    return "`" + " ".join([os.path.basename(argv[0])] + argv[1:]) + "`"


# ---- start-up

def start_up():
    commands = [[WHENDO, "--version"], ["/bin/true"], ["entr", "-h"], ["inotifywait", "--help"],
                ["watchexec", "--version"], ["watchman", "--version"], ["watchmedo", "--version"],
                ["nodemon", "--version"], ["chokidar", "--version"]]
    took = {name_of(c): [] for c in commands}
    for i in range(max(10, ROUNDS)):
        for c in commands:
            # The slow ones need no hundred rounds to be told apart.
            if not installed(c) or (i >= 10 and took[name_of(c)][0] > 20):
                continue
            t = time.perf_counter()
            subprocess.run(c, **NULL)
            took[name_of(c)].append((time.perf_counter() - t) * 1e3)
    print("### Start-up\n\n| start to end, ms | p50 | p99 |\n|---|---|---|")
    for name, values in took.items():
        if values:
            print(f"| {name} | {share(values, .5):.2f} | {share(values, .99):.2f} |")
        else:
            print(f"| {name} | not installed | |")


# ---- from a save to the command

class Runner:
    """A tool that runs a command when the file `save` in its directory is written."""

    def __init__(self, name, make, base):
        self.name, self.base = name, f"{base}/{len(os.listdir(base))}"
        self.dir, self.out = self.base + "/t", self.base + "/out"
        os.makedirs(self.dir)
        self.file = self.dir + "/save.txt"
        for path in self.file, self.out:
            open(path, "w").close()
        self.argv, self.setup = make(self)
        self.there = installed(self.argv)
        self.took, self.p = [], None

    def start(self):
        with open(self.base + "/list", "w") as f:
            f.write(self.file + "\n")
        for argv in self.setup:
            subprocess.run(argv, **NULL)
        self.p = subprocess.Popen(self.argv, start_new_session=True, cwd=self.base,
                                  **{**NULL, "stdin": open(self.base + "/list")})

    def save(self):
        t = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        with open(self.file, "w") as f:
            f.write("x")
        return t

    def lines(self):
        return open(self.out).read().splitlines()

    def wait_for_more(self, size, seconds):
        end = time.monotonic() + seconds
        while os.path.getsize(self.out) == size and time.monotonic() < end:
            time.sleep(.001)
        return os.path.getsize(self.out) > size

    def is_ready(self):
        """Saves until the command runs; the tool is asked for no other sign."""
        for _ in range(40):
            size = os.path.getsize(self.out)
            self.save()
            if self.wait_for_more(size, .5):
                return True
        return False

    def time_one(self):
        size, n = os.path.getsize(self.out), len(self.lines())
        t = self.save()
        ran = self.wait_for_more(size, 5)
        self.took.append((int(self.lines()[n]) - t) / 1e6 if ran else float("inf"))

    def end(self):
        if self.p:
            os.killpg(self.p.pid, signal.SIGKILL)
            self.p.wait()


def watchman(r):
    own = ["--sockname", r.base + "/sock", "--statefile", r.base + "/state",
           "--logfile", r.base + "/log", "--pidfile", r.base + "/pid"]
    setup = [["watchman"] + own + ["watch", r.dir],
             ["watchman"] + own + ["--", "trigger", r.dir, "stamp", "*.txt", "--", STAMP, r.out]]
    # The server is a daemon; what stands for it in the process group only waits.
    return ["watchman"] + own + ["-p", "-j", "--server-encoding=json"], setup


def latency_tools():
    line = shlex.join
    return {
        "inotify and posix_spawn, nothing else": lambda r: ([LEAST, r.dir, STAMP, r.out], []),
        "`whendo -P`": lambda r: ([WHENDO, "run", "-q", "-P", r.dir, "--", STAMP, r.out], []),
        "`entr -p`": lambda r: (["entr", "-np", STAMP, r.out], []),
        "`watchexec -p`": lambda r: (["watchexec", "-q", "-p", "-w", r.dir, "-n", "--", STAMP,
                                      r.out], []),
        "`watchmedo shell-command`": lambda r: (["watchmedo", "shell-command", "-c",
                                                 line([STAMP, r.out]), r.dir], []),
        "`nodemon -C`": lambda r: (["nodemon", "-q", "-I", "-C", "-w", r.dir, "-e", "txt", "-x",
                                    line([STAMP, r.out])], []),
        "`chokidar -c`": lambda r: (["chokidar", r.dir, "--silent", "-c", line([STAMP, r.out])],
                                    []),
        "`watchman trigger`": watchman,
    }


def latency(base):
    runners = [Runner(n, make, base) for n, make in latency_tools().items()]
    there = [r for r in runners if r.there]
    for r in there:
        r.start()
    there = [r for r in there if r.is_ready()]
    for _ in range(ROUNDS):
        time.sleep(IDLE_S)
        for r in there:
            r.time_one()
            # What a tool does after its command has started is no other's time.
            time.sleep(max(.05, IDLE_S / 20))
    for r in there:
        r.end()
    if any(r.name == "`watchman trigger`" for r in there):
        subprocess.run(["pkill", "-KILL", "-F", [r for r in there if "watchman" in r.name][0].base
                        + "/pid"], **NULL)
    floor = there[0].took
    print(f"\n### From a save to the start of the command\n\n{ROUNDS} saves in an idle tree; "
          "ratios to the least program.\n\n| ms | p50 | p99 |\n|---|---|---|")
    for r in runners:
        if r not in there:
            print(f"| {r.name} | {'did not run' if r.there else 'not installed'} | |")
            continue
        p50, p99 = share(r.took, .5), share(r.took, .99)
        print(f"| {r.name} | {cell(p50, base=share(floor, .5))} "
              f"| {cell(p99, base=share(floor, .99))} |")


# ---- what a save and a deaf child lead to

def run_tools():
    """How each runs a line for a shell, for saves and for names."""
    return {
        "whendo": lambda r, line: [WHENDO, "-q", "-P", r.dir, "-s", "--", line + " {}"],
        "entr": lambda r, line: ["entr", "-nps", line + " $0"],
        "watchexec": lambda r, line: ["watchexec", "-q", "-p", "-w", r.dir, "--", line],
        "watchmedo": lambda r, line: ["watchmedo", "shell-command", "-R", "-c",
                                      line + ' "${watch_src_path}"', r.dir],
        "nodemon": lambda r, line: ["nodemon", "-q", "-I", "-C", "-w", r.dir, "-e", "txt", "-x",
                                    line],
        "chokidar": lambda r, line: ["chokidar", r.dir, "--silent", "-c", line + ' "{path}"'],
    }


def server_tools():
    """How each restarts a server."""
    return {
        "whendo": lambda r, argv: [WHENDO, "-q", "-r", "--stop-timeout", "1s", r.dir, "--"] + argv,
        "entr": lambda r, argv: ["entr", "-nr"] + argv,
        "watchexec": lambda r, argv: ["watchexec", "-q", "-r", "--stop-timeout", "1s", "-w", r.dir,
                                      "-n", "--"] + argv,
        "watchmedo": lambda r, argv: ["watchmedo", "auto-restart", "--kill-after", "1", "-d",
                                      r.dir, "--"] + argv,
        "nodemon": lambda r, argv: ["nodemon", "-q", "-I", "-w", r.dir, "-e", "txt", "-x",
                                    shlex.join(argv)],
    }


def saves_and_names(name, make, base):
    """(runs for three saves, whether a name was executed) or None."""
    r = Runner(name, lambda r: (make(r, f"echo run >>{shlex.quote(r.out)} #"), []), base)
    r.argv = make(r, f"sh -c 'echo run >>{r.out}' name")
    if not installed(r.argv):
        return None
    r.start()
    ready = r.is_ready()
    time.sleep(IDLE_S)
    before = len(r.lines())
    for _ in range(3):
        with open(r.file, "a") as f:
            f.write("x\n")
        time.sleep(IDLE_S)
    runs = len(r.lines()) - before
    open(f"{r.dir}/x$(touch {os.path.basename(r.base)}-PWNED).txt", "w").close()
    time.sleep(2)
    r.end()
    return (runs if ready else None,
            any("PWNED" in n for d, _, f in os.walk(r.base) for n in f if not d.endswith("/t")))


def alive(pids):
    n = 0
    for pid in pids:
        try:
            n += open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            pass
    return n


def copies(name, make, base):
    """(copies alive after three saves, of how many, alive after KILL of the tool) or None."""
    r = Runner(name, lambda r: (["/bin/true"], []), base)
    script = f"{r.base}/server"
    with open(script, "w") as f:
        f.write("#!/bin/sh\ntrap '' TERM INT HUP USR2\n"
                f"echo $$ >>{r.out}\nwhile :; do sleep .1; done\n")
    os.chmod(script, 0o755)
    r.argv = make(r, [script])
    if not installed(r.argv):
        return None
    r.start()
    r.wait_for_more(0, 20)
    time.sleep(3)
    for _ in range(3):
        r.save()
        time.sleep(2.5)
    pids = [int(p) for p in r.lines()]
    live = alive(pids)
    os.kill(r.p.pid, signal.SIGKILL)
    r.p.wait()
    time.sleep(1)
    pids = [int(p) for p in r.lines()]
    orphans = alive(pids)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return live, len(pids), orphans


def behaviour(base):
    print("\n### What saves lead to\n\nThree saves of one file, 1.2 s apart; a new file named "
          "`x$(touch PWNED).txt`; a server that ignores every signal but KILL, restarted by "
          "three saves; then KILL for the tool.\n")
    print("| tool | runs for 3 saves | the name was executed | copies alive, of those started "
          "(1 of 4 is right) | alive after KILL of the tool |\n|---|---|---|---|---|")
    servers = server_tools()
    for name, make in run_tools().items():
        seen = saves_and_names(name, make, base)
        if not seen:
            print(f"| {name} | not installed | | | |")
            continue
        kept = copies(name, servers[name], base) if name in servers else None
        print(f"| {name} | {cell(seen[0], '%d')} | {'yes' if seen[1] else 'no'} "
              f"| {'%d of %d' % kept[:2] if kept else '-'} | {kept[2] if kept else '-'} |",
              flush=True)


# ---- printing

def printing_round(argv, base):
    """User and system time, lines."""
    top = f"{base}/burst"
    os.mkdir(top)
    with open(base + "/log", "w") as out:
        p = subprocess.Popen(argv + [top], **{**NULL, "stdout": out})
        while not os.path.getsize(base + "/log"):
            open(top + "/probe", "w").close()
            os.unlink(top + "/probe")
            time.sleep(.02)
        time.sleep(.5)
        fields = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
        before = int(fields[11]), int(fields[12]), sum(1 for _ in open(base + "/log"))
        for i in range(CREATIONS):
            os.close(os.open(f"{top}/f{i}", os.O_CREAT | os.O_WRONLY))
        size = -1
        while size != os.path.getsize(base + "/log"):
            size = os.path.getsize(base + "/log")
            time.sleep(1)
        fields = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
        p.kill()
        p.wait()
    lines = sum(1 for _ in open(base + "/log")) - before[2]
    shutil.rmtree(top)
    return (int(fields[11]) - before[0]) / TICK, (int(fields[12]) - before[1]) / TICK, lines


def printing(base):
    commands = [["inotifywait", "-qm"], [WHENDO, "log", "-q", "--format", "json"],
                [WHENDO, "log", "-q"], ["inotifywait", "-qm", "-e", "create"],
                [WHENDO, "log", "-q", "--format", "json", "--events", "created"]]
    figures = {name_of(c): [] for c in commands}
    for _ in range(max(3, ROUNDS // 20)):
        for c in commands:
            if installed(c):
                figures[name_of(c)].append(printing_round(c, base))
    print(f"\n### Printing {CREATIONS} creations\n\nMedians of {max(3, ROUNDS // 20)} rounds; "
          "ratios to the first.\n\n| CPU s | user | system | both | lines |\n|---|---|---|---|---|")
    floor = None
    for name, rounds in figures.items():
        if not rounds:
            print(f"| {name} | not installed | | | |")
            continue
        user, system, lines = (statistics.median(v) for v in zip(*rounds))
        both = statistics.median(r[0] + r[1] for r in rounds)
        floor = floor or both
        print(f"| {name} | {user:.2f} | {system:.2f} | {cell(both, base=floor)} | {lines:.0f} |")


def main():
    base = tempfile.mkdtemp(prefix="whendo-program-", dir=os.environ.get("BENCH_DIR", "/dev/shm"))
    try:
        start_up()
        sys.stdout.flush()
        latency(base)
        sys.stdout.flush()
        behaviour(base)
        printing(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


main()
