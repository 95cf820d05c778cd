"""against.py KAFKA MILENA DIFFER: compares two outputs of milena.Tools, command by command.

DIFFER has the lines that may differ: parts of a command, a bar, and a part of the line that one of the two prints alone.
"""

import sys


def commands(path):
    """Command lines, with a number where one comes again, and the lines that they printed."""
    found, current = {}, None
    for line in open(path, errors="replace").read().splitlines():
        if line.startswith("== "):
            command, times = line[3:], 1
            current = command
            while current in found:
                times += 1
                current = f"{command} ({times})"
            found[current] = []
        else:
            found[current].append(line)
    return found


def allowed(path):
    lines = [line.rstrip("\n") for line in open(path) if line.strip() and not line.startswith("#")]
    return [line.split("|", 1) for line in lines]


def main():
    kafka, milena, differ = commands(sys.argv[1]), commands(sys.argv[2]), allowed(sys.argv[3])
    failed, meant, used = 0, 0, set()
    assert kafka.keys() == milena.keys(), "one of them did not come to the end"
    for command, lines in kafka.items():
        both = [("Kafka", lines, milena[command]), ("milena", milena[command], lines)]
        alone = []
        for name, own, others in both:
            rest = list(others)
            for line in own:
                if line in rest:
                    rest.remove(line)
                else:
                    alone.append((name, line))
        reasons = [next((rule for rule, (part, text) in enumerate(differ) if part in command and text in line), None) for _, line in alone]
        used.update(reasons)
        if None in reasons:
            failed += 1
            print(command)
            for name, line in alone:
                print(f"  {name + ':':8}{line:.1000}")
        elif alone:
            meant += 1
    for rule, (part, text) in enumerate(differ):
        if rule not in used:
            print(f"nothing differs any more for {part}|{text}")
    print(f"{len(kafka)} commands, {meant} of them print something else on purpose, {failed} of them otherwise")
    sys.exit(failed > 0)


main()
