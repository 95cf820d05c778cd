"""ours.py BINARY BOOTSTRAP CONTROLLERS FOLDER CASES: runs milena's tools with the lines that milena.Tools runs Apache's with, and
prints the same. Of its other commands there are `produce`, `file` and `stdin`."""

import json
import os
import re
import subprocess
import sys

BINARY, BOOTSTRAP, CONTROLLERS, FOLDER, CASES = sys.argv[1:]
LIMIT = 40
TOOLS = {
    "TopicCommand": "kafka-topics",
    "ConsoleProducer": "kafka-console-producer",
    "ConsoleConsumer": "kafka-console-consumer",
    "ConsumerGroupCommand": "kafka-consumer-groups",
    "ConfigCommand": "kafka-configs",
    "GetOffsetShell": "kafka-get-offsets",
    "DeleteRecordsCommand": "kafka-delete-records",
    "BrokerApiVersionsCommand": "kafka-broker-api-versions",
    "ClusterTool": "kafka-cluster",
    "StorageTool": "kafka-storage",
    "TransactionsCommand": "kafka-transactions",
}
# As in milena.Tools: what differs from run to run, and what a logger writes.
MASKS = [
    (re.escape(FOLDER), "FOLDER"),
    (re.escape(BOOTSTRAP), "ADDRESS"),
    (re.escape(CONTROLLERS), "CONTROLLERS"),
    (r"127\.0\.0\.1[: ]\d+", "ADDRESS"),
    (r"localhost:\d+", "ADDRESS"),
    (r"[\w.-]*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"console-consumer-\d+", "ID"),
    (r"(?<![\w-])[\w-]{22}(?![\w-])", "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "TIME"),
    (r"\d{13,}", "TIME"),
    (r" {2,}", " "),
]
NOISE = re.compile(r"^\s*$|^\s+at |^\s+\.\.\. |^\[|^WARN New offset|^(Caused by: )?(java|org|joptsimple)\.[A-Za-z.$]*(Exception|Error)")


def masked(text):
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text


def plain(parts):
    return " ".join(parts).replace("_LINE_", "\n").replace("FOLDER", FOLDER)


def words(parts):
    known = {"@": ["--bootstrap-server", BOOTSTRAP], "C": ["--bootstrap-controller", CONTROLLERS]}
    for part in parts:
        yield from known.get(part, [part.replace("FOLDER", FOLDER).replace("_SPACE_", " ")])


def produce(topic, count):
    record = lambda n: {"topic": topic, "key": f"k{n}", "value": f"v{n}", "timestamp": 1_600_000_000_000 + n * 1000}
    lines = "".join(json.dumps(record(n)) + "\n" for n in range(count))
    subprocess.run([BINARY, "produce", topic, "--repartition", "--file", "-", "-b", BOOTSTRAP], input=lines.encode(), check=True)


def run(name, parts, given):
    try:
        done = subprocess.run([BINARY, TOOLS[name], *words(parts)], input=given, capture_output=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as late:
        return "no end in time", late.stdout or b"", late.stderr or b""
    return done.returncode, done.stdout, done.stderr


def main():
    given = b""
    for line in open(CASES, encoding="utf-8"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        first, *rest = line.split(" ")
        code, out, err = 0, b"", b""
        if first == "produce":
            produce(rest[0], int(rest[1]))
        elif first == "file":
            with open(os.path.join(FOLDER, rest[0]), "w", encoding="utf-8") as file:
                file.write(plain(rest[1:]))
        elif first == "stdin":
            given = plain(rest).encode()
        else:
            code, out, err = run(first.rsplit(".", 1)[-1], rest, given)
        print(f"== {line}\nends with {code}")
        texts = [masked(stream.decode(errors="replace")).split("\n") for stream in (out, err)]
        kept = [sorted(text.rstrip() for text in texts[0] if text.strip())]
        kept.append([text.rstrip() for text in texts[1] if not NOISE.search(text)][:1])
        for name, lines in zip(("out", "err"), kept):
            for text in lines:
                print(f"{name}: {text}")
        sys.stdout.flush()


main()
