#!/usr/bin/python3
"""first_commands.py: compile_commands.json with one command a file, the first.

    tools/lib/first_commands.py FILE
"""
import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        commands = json.load(file)
    first = {}
    for command in commands:
        first.setdefault(command["file"], command)
    json.dump(list(first.values()), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
