"""Follows a tree by what `whendo log` prints, while programs change it: see programs.sh."""
import base64
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE = 200  # seconds; it takes so long only on a machine that is busy with other things
FILES_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}
MARK = b".follower-"


def look(path):
    """What is at a path: its type, and what differs when its content does; None: nothing."""
    try:
        s = os.lstat(path)
    except OSError:
        return None
    kind = FILES_KINDS.get(stat.S_IFMT(s.st_mode), "other")
    return (kind, (s.st_ino, s.st_size, s.st_mtime_ns) if kind == "file" else ())


def listing(top):
    found = {}
    for path, dirs, files in os.walk(top):
        for name in dirs + files:
            if not name.startswith(MARK):
                found[os.path.join(path, name)] = look(os.path.join(path, name))
    return found


class Follower:
    """Knows of the tree what was there at first, and what whendo says."""

    def __init__(self, whendo, backend, top):
        self.top, self.tree, self.flaws = top, listing(top), []
        self.seen, self.more = set(), threading.Condition()
        out, theirs = os.pipe()
        self.errors = tempfile.TemporaryFile()
        self.whendo = subprocess.Popen(
            [whendo, "log", "--format", "json", "--backend", backend, "--poll-interval", "50ms",
             "--ready-fd", str(theirs), top],
            stdout=subprocess.PIPE, stderr=self.errors, pass_fds=[theirs])
        os.close(theirs)
        self.ready = os.read(out, 1) == b"\n"
        os.close(out)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def below(self, path):
        return [p for p in self.tree if p.startswith(path + b"/")]

    def flaw(self, what, line):
        if len(self.flaws) < 10:
            self.flaws.append("%s: %s" % (what, line.decode().strip()))

    def read(self):
        for line in self.whendo.stdout:
            event = json.loads(line)
            kind = event["event_type"]
            path, dest = (base64.b64decode(event[k + "_b64"]) if k + "_b64" in event
                          else os.fsencode(event.get(k, "")) for k in ("src_path", "dest_path"))
            if os.path.basename(path).startswith(MARK):
                with self.more:
                    self.seen.add((kind, path))
                    self.more.notify()
            elif kind != "overflow":
                getattr(self, kind)(path, dest, event, line)

    def created(self, path, dest, event, line):
        if path in self.tree:
            self.flaw("there already", line)
        if os.path.dirname(path) != self.top and os.path.dirname(path) not in self.tree:
            self.flaw("in no directory", line)
        self.now(path, event)

    def now(self, path, event):
        """As it is by now; that may be gone again, or another thing, of which more will be told."""
        it, kind = look(path), event["file_type"]
        self.tree[path] = it if it and it[0] == kind else (kind, None)

    def modified(self, path, dest, event, line):
        if path not in self.tree:
            self.flaw("not there", line)
        else:
            self.now(path, event)

    attrib = modified

    def deleted(self, path, dest, event, line):
        if path not in self.tree:
            self.flaw("not there", line)
        if self.below(path):
            self.flaw("not empty", line)
        self.tree.pop(path, None)

    def moved(self, path, dest, event, line):
        if event["is_synthetic"] and path not in self.tree and dest in self.tree:
            self.now(dest, event)  # came along with its directory
            return
        if path not in self.tree:
            self.flaw("not there", line)
        for p in self.below(dest):
            del self.tree[p]
        for p in self.below(path):
            self.tree[dest + p[len(path):]] = self.tree.pop(p)
        self.tree.pop(path, None)
        self.now(dest, event)

    def told(self, kind, path):
        with self.more:
            return self.more.wait_for(lambda: (kind, path) in self.seen, DEADLINE)

    def catch_up(self):
        """A file that comes and goes; what was before it in a round of polling, or in one that had
        begun, is told before it is gone twice."""
        for i in range(2):
            path = os.path.join(self.top, MARK + b"%d-%d" % (id(self), i))
            open(path, "w").close()
            if not self.told("created", path):
                return "no end of it after %d s" % DEADLINE
            os.unlink(path)
            if not self.told("deleted", path):
                return "no end of it after %d s" % DEADLINE
        return ""

    def end(self):
        self.whendo.send_signal(signal.SIGTERM)
        status = self.whendo.wait(DEADLINE)
        self.thread.join()
        return status


def differences(follower, contents):
    there, told = listing(follower.top), follower.tree
    lines = ["not told of: %r" % p for p in there if p not in told]
    lines += ["not there: %r" % p for p in told if p not in there]
    for p in there:
        if p not in told:
            continue
        # A symbolic link that was elsewhere before anybody could look at it is told of as a file.
        if (told[p][0] == "dir") != (there[p][0] == "dir"):
            lines.append("%r is a %s, told of as a %s" % (p, there[p][0], told[p][0]))
        elif contents and told[p][1] and told[p][1] != there[p][1]:
            lines.append("%r was changed last without a word" % p)
    return lines + follower.flaws


# ---- what is done ----

GIT = """
git init -q first; cd first; git checkout -q -b main
for i in 1 2 3 4 5 6; do mkdir -p d$i/e; for j in 1 2 3 4 5; do echo $i $j >d$i/e/f$j; done
  git mv -k d1/e/f$i moved$i; echo $i >same; git add .; git commit -qm $i; done
cd ..; git clone -q first second; cd second; git checkout -q HEAD~5; git checkout -q main
git checkout -q -b side HEAD~3; echo side >side; git add .; git commit -qm side; git rebase -q main
echo more >>same; git stash -q; git stash pop -q; git stash -q; git worktree add -q ../tree HEAD~2
git gc -q; git worktree remove --force ../tree; git checkout -q main; git config a.b c
git config a.b d; rm -rf ../first
"""
TAR = """
mkdir from; (cd from; for i in 1 2 3 4 5 6 7 8; do mkdir -p a/b$i; echo $i >a/b$i/f; ln -s f a/b$i/l; done
touch -d 2001-01-01 a/b*/f); tar cf archive from; rm -rf from; tar xf archive; tar xf archive
tar xf archive --unlink-first; rm -rf from; tar xf archive; cp -a from copy; cp -a from/. copy
cp -al copy linked; mv copy linked/in; mv linked/in/a/b1 .; rm -rf linked from; mv b1 b2
"""
EDIT = """
for f in 1 2 3; do echo text >f$f; done
for i in 1 2 3 4; do sed -i s/t/u/ f1; sed -i.old s/t/v/ f2; cp f3 .f3.new; echo $i >>.f3.new
  mv f3 f3~; mv .f3.new f3; cp f1 f1~; echo $i >f1; ln -f f2 f2~; echo $i >new; mv new f2; done
truncate -s 100000 f1; truncate -s 10 f1; dd if=/dev/zero of=f2 bs=10 count=2 seek=3 conv=notrunc
for i in 1 2 3; do mv log.2 log.3; mv log.1 log.2; mv log log.1; seq 100 >log; done; chmod 600 log
"""
MAKE = """
for i in 1 2 3 4; do echo "int f$i;" >f$i.c; done
printf 'all: f1.o f2.o f3.o f4.o\n\tcat *.o >all\n%%.o: %%.c\n\tcp $< $@.new && mv $@.new $@\n' >Makefile
printf 'clean:\n\trm -f *.o all\n' >>Makefile
make -j4; make clean; echo >>f1.c; make -j4 all; touch f2.c; make -j4 all
"""
TREES = """
for i in 1 2 3 4 5 6 7 8 9; do mkdir -p p/q/r$i/s; echo $i >p/q/r$i/s/f; mv p/q p/t; mv p/t p/q
  mkdir x; echo >x/y; mv x p/q/r$i/s/; mv p z; mv z p; done; mv p/q/r1 p/q/r2/s; rm -rf p/q/r3
"""


def database(top):
    try:
        import sqlite3
    except ImportError:
        return
    for name, mode in ((b"wal", "wal"), (b"journal", "delete")):
        db = sqlite3.connect(os.fsdecode(os.path.join(top, name)), isolation_level=None)
        db.execute("pragma journal_mode=" + mode)
        db.execute("create table t(a)")
        for i in range(20):
            db.execute("insert into t values(?)", ("x" * i * 100,))
        db.execute("vacuum")
        db.close()


def churn(top):
    """More than the kernel's queue holds."""
    for i in range(12000):
        path = os.path.join(top, b"passing%d" % (i % 100))
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.unlink(path)


def script(text):
    def run(top):
        subprocess.run(["sh", "-c", text], cwd=top, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return run


ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
               "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
               "GIT_COMMITTER_EMAIL": "a@b", "MAKEFLAGS": "", "HOME": "/nonexistent"}
LOADS = [script(GIT), script(TAR), script(EDIT), script(MAKE), script(TREES), database]


def at_once(top, loads):
    threads = []
    for i, load in enumerate(loads):
        place = os.path.join(top, b"load%d" % i)
        os.mkdir(place)
        threads.append(threading.Thread(target=load, args=(place,)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def verdict(follower, backend):
    """'' or what is wrong; None if the backend is not to be had."""
    late = follower.catch_up() if follower.ready else "not ready"
    # What is written to a file that takes another's inode number is not always known by looking.
    lines = differences(follower, backend in ("inotify", "fanotify"))
    status = follower.end()
    if not follower.ready and backend == "fanotify":
        return None
    if late or lines or status != 128 + signal.SIGTERM:
        return "\n".join([late, "status %d" % status, follower.said()] + lines[:20])
    return ""


def round_of(whendo, backends, top):
    """All of them follow one tree."""
    os.mkdir(top)
    for load in LOADS[1:3]:
        load(top)
    followers = [Follower(whendo, backend, top) for backend in backends]
    place = [os.path.join(top, b"%d" % i) for i in range(2)]
    os.mkdir(place[0])
    at_once(place[0], LOADS)
    os.mkdir(place[1])
    work = threading.Thread(target=at_once, args=(place[1], LOADS + [churn]))
    work.start()
    begun = os.path.join(place[1], b"load0/second/.git/HEAD")  # what follows is done to what is known
    while work.is_alive() and not os.path.exists(begun):
        time.sleep(0.001)
    for follower in followers:
        follower.whendo.send_signal(signal.SIGSTOP)
    work.join()
    for follower in followers:
        follower.whendo.send_signal(signal.SIGCONT)
    os.rename(place[0], os.path.join(place[1], b"moved"))
    return [verdict(f, backend) for f, backend in zip(followers, backends)]


def main():
    backends = ["inotify", "fanotify", "fsevent", "poll"]
    rounds = int(os.environ.get("PROGRAMS_ROUNDS", "1"))
    print("1..%d" % (rounds * len(backends)), flush=True)
    failed = 0
    for i in range(rounds):
        work = tempfile.mkdtemp().encode()
        verdicts = round_of(os.path.abspath(sys.argv[1]), backends, os.path.join(work, b"top"))
        for j, wrong in enumerate(verdicts):
            name = "%d - %s" % (i * len(backends) + j + 1, backends[j])
            if wrong is None:
                name += " # SKIP it cannot be had here"
            print("not ok" if wrong else "ok", name)
            for line in wrong.splitlines() if wrong else ():
                print("# " + line)
            failed |= bool(wrong)
        sys.stdout.flush()
        shutil.rmtree(work)
    return failed


sys.exit(main())
