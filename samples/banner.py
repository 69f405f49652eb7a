#!/usr/bin/python3
"""banner.py: a gacha banner (config.yaml): players pull ten at a time, and the books are checked.

    samples/banner.py [PULLS]      default 20000 draws
"""
import collections
import sys

import local_server


def main():
    pulls = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    with local_server.start("config.yaml") as server:
        before = {item["item_id"]: item for item in server.call("state", "main")["items"]}
        got, next_id = collections.Counter(), 1
        for left in range(pulls, 0, -10):
            count = min(left, 10)
            first, outcomes, failed, _, _ = server.call("draw", "main", count)
            assert (first, failed, len(outcomes)) == (next_id, 0, count), "ids rise without a gap"
            next_id += count
            got.update(outcomes)
        after = {item["item_id"]: item for item in server.call("state", "main")["items"]}
    weights = sum(item["probability"] for item in before.values())
    print(f"{'item':<10}{'drawn':>8}{'left':>10}   share   wanted")
    for name, item in after.items():
        assert item["drawn"] == got[name], f"{name}: the server counts otherwise"
        limited = item["quantity"] >= 0
        assert not limited or item["quantity"] + got[name] == before[name]["quantity"], name
        print(f"{name:<10}{got[name]:>8}{item['quantity'] if limited else 'unlimited':>10}"
              f"{got[name] / pulls:>8.2%}{item['probability'] / weights:>9.2%}")
    print(f"{pulls} draws, every one accounted for")


if __name__ == "__main__":
    main()
