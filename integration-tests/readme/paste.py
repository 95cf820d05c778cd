"""Runs the commands of a README. Each has to match a line of COMMANDS, which says what it is expected to do."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

STARTED = "Kafka Server started"


def blocks(text):
    """The indented and the fenced blocks, as (language, lines)."""
    fenced, lines, language = False, [], ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("```"):
            if fenced:
                yield language, lines
                lines = []
            fenced, language = not fenced, line[3:]
        elif fenced or line.startswith("    "):
            lines.append(line if fenced else line[4:])
        elif lines and line:
            yield "sh", lines
            lines = []
        elif lines:
            lines.append("")
    if lines:
        yield "sh", lines


def commands(lines):
    """The commands of a block: continued lines are one, comments and empty lines none."""
    command = ""
    for line in lines:
        if not command and (not line.strip() or line.lstrip().startswith("#")):
            continue
        command += line + "\n"
        if not line.rstrip().endswith(("\\", "|")):
            yield command.rstrip()
            command = ""
    assert not command, f"a command that does not end: {command}"


class Shell:
    """The terminal that the commands are pasted into; at most one broker runs in another."""

    def __init__(self):
        self.broker = None

    def start(self, command):
        self.stop()
        self.broker = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True)
        for line in self.broker.stdout:
            if STARTED in line:
                return
        raise AssertionError(f"ended with {self.broker.wait()} before it served")

    def stop(self):
        if self.broker:
            os.killpg(self.broker.pid, signal.SIGTERM)
            self.broker.stdout.read()
            assert self.broker.wait() in (0, -signal.SIGTERM), f"the broker ended with {self.broker.returncode}"
            self.broker = None

    def start_with_file(self, command):
        if not os.path.exists("server.properties"):
            with open("server.properties", "w", encoding="utf-8") as file:
                file.write("num.partitions=3\n")
        self.start(command)
        os.remove("server.properties")

    def run(self, command):
        done = subprocess.run(["bash", "-c", "set -o pipefail\n" + command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def prints(self, expected):
        def check(command):
            out = self.run(command)
            assert expected in out, f"printed {out!r} without {expected!r}"
        return check

    def reads(self, count):
        """A consumer that goes on for ever has to print `count` lines; then it is stopped."""
        def check(command):
            # A terminal, as the reader has one: into a pipe, kcat prints when its buffer is full.
            terminal, its_end = pty.openpty()
            consumer = subprocess.Popen(["bash", "-c", command], stdout=its_end, stderr=subprocess.DEVNULL, start_new_session=True)
            os.close(its_end)
            seen, end = b"", time.monotonic() + 30
            try:
                while seen.count(b"\n") < count:
                    ready, _, _ = select.select([terminal], [], [], end - time.monotonic())
                    assert ready, f"printed {seen!r}, expected {count} lines"
                    seen += os.read(terminal, 65536)
            finally:
                os.killpg(consumer.pid, signal.SIGKILL)
                consumer.wait()
                os.close(terminal)
        return check


def main(readme):
    shell = Shell()
    # A command and what is expected of it; the first that matches counts.
    expectations = [
        (r"cargo run --release\b", shell.start),
        (r"milena server\.properties\b", shell.start_with_file),
        (r"(KAFKA_\w+=\S+ )?milena( --override \S+)*\s*(#.*)?$", shell.start),
        (r"echo .*\| kcat -P ", shell.run),
        (r"kcat -C .* -e$", shell.prints("hello, milena")),
        (r"printf .*\| *\n? *kcat -P ", shell.run),
        (r"kcat .* -G (billing|attribution|audit) ", shell.reads(3)),
        (r"from kafka import ", shell.prints("b'hello, milena'")),
    ]
    failed = 0
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    for language, lines in blocks(text):
        if language not in ("", "sh", "python"):
            continue  # what a file looks like
        pasted = ["\n".join(lines)] if language == "python" else commands(lines)
        for command in pasted:
            what = command.splitlines()[0]
            expected = next((act for pattern, act in expectations if re.match(pattern, command, re.DOTALL)), None)
            began = time.monotonic()
            if "/var/lib/" in command and not os.access("/var/lib", os.W_OK):
                print(f"{what[:76]:76} skipped: /var/lib is not ours")
                continue
            try:
                assert expected, "nobody has said what this command should do: see paste.py"
                expected(f"python - <<'END'\n{command}\nEND" if language == "python" else command)
                outcome = "ok"
            except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
                outcome, failed = f"FAILED: {error}", failed + 1
            print(f"{what[:76]:76} {outcome} ({time.monotonic() - began:.1f} s)", flush=True)
    shell.stop()
    print(f"{failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
