#!/bin/sh
# In a terminal: keys, colour, the terminal handed to a command that reads it, ^C, ^Z and fg,
# and modes given back on every end.
. tests/lib/tap.sh
if ! command -v python3 >/dev/null; then
  echo '1..0 # SKIP no python3'
  exit 0
fi
plan 25
mkdir t
chmod 755 "$tmp"
install -m 755 "$W" whendo # where another user may run it
cat >drive.py <<'X'
import os, pty, re, select, signal, sys, termios, time

class Terminal:
    """A program on a terminal of its own, as its session's only job."""
    def __init__(self, *argv, env=(), prepare=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.pop("NO_COLOR", None)
            os.environ.update(dict(env), TERM="xterm")
            if prepare:
                prepare()
            os.execvp(argv[0], argv)
        self.seen = self.all = b""

    def expect(self, pattern, seconds=30):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                return bool(re.search(pattern, self.seen))
            self.seen += data
            self.all += data
        self.seen = self.seen[re.search(pattern, self.seen).end():]
        return True

    def send(self, text):
        os.write(self.fd, text)

    def modes_are_back(self):
        # Those of a new terminal; read after the fork they may be the program's already.
        both = termios.ICANON | termios.ECHO
        return termios.tcgetattr(self.fd)[3] & both == both

    def handed_over(self, seconds=30):
        """The kernel has stopped the command for reading, and whendo reads no keys any more."""
        end = time.monotonic() + seconds
        while not self.modes_are_back() and time.monotonic() < end:
            time.sleep(0.01)

    def end(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.seen += b"(status %d)" % status
                return os.waitstatus_to_exitcode(status)
            self.expect(b"\0never", 0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

n = 0
def ok(good, name, detail=""):
    global n
    n += 1
    print(("ok" if good else "not ok"), n, "-", name, flush=True)
    if not good:
        print("#", repr(detail), flush=True)

def skip(name, why):
    global n
    n += 1
    print("ok", n, "-", name, "# SKIP", why, flush=True)

W = sys.argv[1]
t = Terminal(W, "run", "t", "--", "echo", "hello")
ok(t.expect(rb"\x1b\[32mrun 1: ok"), "status lines are in colour", t.seen)
t.send(b"x ")
ok(t.expect(rb"run 2: echo hello") and t.expect(rb"run 2: ok"), "space runs now, other keys do nothing", t.seen)
t.send(b"p")
ok(t.expect(rb"paused"), "p pauses", t.seen)
open("t/a", "w").close()
ok(not t.expect(rb"run 3", 0.7), "nothing runs while paused", t.seen)
t.send(b"p")
ok(t.expect(rb"run 3: .*t/a"), "p goes on, with what changed", t.seen)
t.send(b"q")
ok(t.end() == 0 and t.modes_are_back(), "q quits, modes are back", t.seen)

t = Terminal(W, "run", "t", "--", "sh", "-c", "echo up; exec sleep 1041")
t.expect(rb"up\r\n")
t.send(b"r")
ok(t.expect(rb"up\r\n"), "r restarts", t.seen)
t.send(b"\x03")
ok(t.end() == 0 and t.modes_are_back(), "^C stops and quits, modes are back", t.seen)

# Of the engine uv commands are in sessions of their own: none is given the terminal, and what is typed
# is read by it or as keys.
hands_over = os.environ.get("ENGINE") != "uv"
t = Terminal(W, "run", "t", "--", "sh", "-c", "echo up; read a; echo got $a; stty -echo; read b; echo and $b")
t.expect(rb"up\r\n")
if hands_over:
    t.handed_over()
    t.send(b"line\n")
    ok(t.expect(rb"got line"), "a command that reads the terminal gets it", t.seen)
    t.send(b"two\n")
    ok(t.expect(rb"and two") and t.expect(rb"run 1: ok"), "... and may change its modes", t.seen)
    t.send(b" ")
    ok(t.expect(rb"run 2"), "... and the keys are back after it", t.seen)
else:
    for name in "a command that reads the terminal gets it", "... and may change its modes", "... and the keys are back after it":
        skip(name, "the engine uv hands over no terminal")
t.send(b"\x03")
ok(t.end() == 0 and t.modes_are_back(), "... ^C while it has the terminal ends both", t.seen)

# Something else on stdin, and a command that asks at the terminal all the same.
t = Terminal("sh", "-c", "exec %s run t -- sh -c 'printf who; read a </dev/tty; echo \"is $a\"' </dev/null" % W)
t.expect(rb"who")
t.send(b"me\n")
if hands_over:
    ok(t.expect(rb"is me") and t.expect(rb"run 1: ok"), "a command may ask at /dev/tty", t.seen)
else:
    skip("a command may ask at /dev/tty", "the engine uv hands over no terminal")
t.send(b"\x03")
ok(t.end() == 0 and t.modes_are_back(), "... and ^C works after it", t.seen)

t = Terminal(W, "run", "t", "--", "echo", "hello", env={"NO_COLOR": "1"})
ok(t.expect(rb"whendo: run 1: ok") and b"\x1b" not in t.all, "NO_COLOR: no colour", t.all)
t.send(b"q")
t.end()
t = Terminal(W, "run", "--color=always", "t", "--", "echo", "hello", env={"NO_COLOR": "1"})
ok(t.expect(rb"\x1b\[32mrun 1: ok"), "... but for --color=always", t.all)
t.send(b"q")
t.end()

# After su the terminal is somebody else's, who does not let us open it.
def lose_terminal():
    os.chmod(os.ttyname(0), 0)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
t = Terminal("./whendo", "run", "t", "--", "echo", "hello", prepare=lose_terminal)
t.expect(rb"run 1: ok")
t.send(b" ")
ok(t.expect(rb"run 2: ok"), "keys on a terminal of another user", t.seen)
t.send(b"q")
ok(t.end() == 0 and t.modes_are_back(), "... modes are back", t.seen)

# A terminal that goes while the command has it: only that one is told by the kernel.
t = Terminal("sh", "-c", "sh -c 'echo $$ >hung; exec \"$0\" run t -- sh -c \"echo up; read a\"' %s; :" % W)
t.expect(rb"up\r\n")
t.handed_over()
os.close(t.fd)
os.waitpid(t.pid, 0)
hung, end = int(open("hung").read()), time.monotonic() + 30
while os.path.exists("/proc/%d/exe" % hung) and time.monotonic() < end:
    time.sleep(0.02)
is_left = os.path.exists("/proc/%d/exe" % hung)
ok(not is_left, "a terminal that hangs up while the command has it ends whendo")
if is_left:
    os.kill(hung, signal.SIGKILL)

# Under a shell with job control.
t = Terminal("bash", "--norc", "-i", env={"PS1": "$ "}.items())
t.expect(rb"\$ ")
t.send(W.encode() + b" run t -- sh -c 'echo up; while :; do sleep 0.1; done'\n")
t.expect(rb"\nup\r\n")
t.send(b"\x1a")
ok(t.expect(rb"Stopped"), "^Z stops it", t.seen)
t.send(b"fg\n")
t.expect(rb"run t")
t.send(b"r")
ok(t.expect(rb"\nup\r\n"), "fg goes on, with keys", t.seen)
t.send(b"q")
t.expect(rb"\$ ")
t.send(b"stty -a | tr -s ' ;' '\\n\\n' | grep -cx 'icanon\\|echo'\n")
ok(t.expect(rb"[\r\n]2\r\n"), "the shell has its modes", t.seen)

# ^Z while the command has the terminal stops both, and fg gives it back.
if hands_over:
    t.send(W.encode() + b" run t -- sh -c 'echo up; read a; echo got $a; read b; echo and $b'\n")
    t.expect(rb"\nup\r\n")
    t.handed_over()
    t.send(b"one\n")
    ok(t.expect(rb"got one"), "a command of a job reads the terminal", t.seen)
    t.send(b"\x1a")
    ok(t.expect(rb"Stopped"), "... ^Z stops it", t.seen)
    t.expect(rb"\$ ")
    t.send(b"fg\n")
    t.expect(rb"run t")
    t.send(b"two\n")
    ok(t.expect(rb"and two") and t.expect(rb"run 1: ok"), "... fg lets it go on reading", t.seen)
    t.send(b"q")
    t.expect(rb"\$ ")
else:
    for name in "a command of a job reads the terminal", "... ^Z stops it", "... fg lets it go on reading":
        skip(name, "the engine uv hands over no terminal")
t.send(b"exit\n")
t.end()
X
timeout 300 python3 drive.py "$W"
n=25
