#!/bin/sh
# whendo(1) as its user feels it: start-up, from a write to the start of the command, and what
# printing costs; beside the peers that are installed.
command -v python3 >/dev/null || { echo "needs python3" >&2; exit 1; }
exec python3 - "$BUILD" "${BENCH_ROUNDS:-20}" <<'X'
import os, resource, shutil, signal, subprocess, sys, tempfile, time

build, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
whendo, stamp = build + "/whendo", build + "/programs/stamp"
os.chdir(tempfile.mkdtemp())
null = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def ms(values, share):
    return "%.2f" % sorted(values)[min(len(values) - 1, int(len(values) * share))]

print("| start-up, ms | p50 | p99 |\n|---|---|---|")
for argv in [whendo, "--version"], ["watchmedo", "--version"], ["/bin/true"]:
    if not shutil.which(argv[0]):
        continue
    took = []
    for _ in range(5 * rounds):
        t = time.perf_counter()
        subprocess.run(argv, **null)
        took.append((time.perf_counter() - t) * 1e3)
    print("| `%s` | %s | %s |" % (" ".join([os.path.basename(argv[0])] + argv[1:]), ms(took, .5), ms(took, .99)))

def latency(argv):
    os.makedirs("t", exist_ok=True)
    open("t/f", "w").close()
    open("out", "w").close()
    p = subprocess.Popen(argv, start_new_session=True, **{**null, "stdin": open("list") if argv[0] == "entr" else null["stdin"]})
    time.sleep(1.5)
    took = []
    for _ in range(rounds):
        before = len(open("out").readlines())
        t = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        with open("t/f", "w") as f:
            f.write("x")
        end = time.time() + 5
        while len(open("out").readlines()) == before and time.time() < end:
            time.sleep(.002)
        lines = open("out").readlines()
        took.append((int(lines[before]) - t) / 1e6 if len(lines) > before else float("inf"))
        time.sleep(1.2)  # each write finds an idle tree
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    return took

with open("list", "w") as f:
    f.write("t/f\n")
print("\n| write to start of the command, idle tree, ms | p50 | p99 |\n|---|---|---|")
for name, argv in [
    ("inotify and posix_spawn, nothing else", [build + "/programs/watch_and_spawn", "t", stamp, "out"]),
    ("`whendo -P t`", [whendo, "run", "-q", "-P", "t", "--", stamp, "out"]),
    ("`entr -p`", ["entr", "-np", stamp, "out"]),
    ("`watchexec -p`", ["watchexec", "-q", "-p", "-w", "t", "-n", "--", stamp, "out"]),
    ("`watchmedo shell-command`", ["watchmedo", "shell-command", "-c", stamp + " out", "t"]),
]:
    if shutil.which(argv[0]):
        took = latency(argv)
        print("| %s | %s | %s |" % (name, ms(took, .5), ms(took, .99)))

print("\n| 100,000 creations, CPU s | user | system | lines |\n|---|---|---|---|")
for argv in [whendo, "log", "-q", "--format", "json", "d"], ["inotifywait", "-qm", "d"], ["inotifywait", "-qm", "-e", "create", "d"]:
    if not shutil.which(argv[0]):
        continue
    os.mkdir("d")
    with open("log", "w") as out:
        p = subprocess.Popen(argv, **{**null, "stdout": out})
        time.sleep(1)
        for i in range(100000):
            os.close(os.open("d/f%d" % i, os.O_CREAT | os.O_WRONLY))
        size = -1
        while size != os.path.getsize("log"):
            size = os.path.getsize("log")
            time.sleep(1)
        with open("/proc/%d/stat" % p.pid) as f:
            user, system = [int(x) / os.sysconf("SC_CLK_TCK") for x in f.read().split()[13:15]]
        p.kill()
        p.wait()
    lines = sum(1 for _ in open("log"))
    print("| `%s` | %.2f | %.2f | %d |" % (" ".join([os.path.basename(argv[0])] + argv[1:-1]), user, system, lines))
    shutil.rmtree("d")
shutil.rmtree(os.getcwd())
X
