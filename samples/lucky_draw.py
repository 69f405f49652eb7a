#!/usr/bin/python3
"""lucky_draw.py: a day of lucky-draw.yaml: one draw a visitor, a server killed at noon, and the sums.

    samples/lucky_draw.py [VISITORS]      default 20000
"""
import collections
import sys

import local_server


def main():
    visitors = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    with local_server.start("lucky-draw.yaml") as server:
        stocked = {item["item_id"]: item["quantity"] for item in server.call("state", "daily")["items"]}
        won, ids = collections.Counter(), []
        for visitor in range(visitors):
            if visitor == visitors // 2:
                server.crash()
                server.start()
            request_id, (prize,), failed, _, _ = server.call("draw", "daily", 1)
            assert failed == 0 and prize is not None, "there is always a consolation"
            won[prize] += 1
            ids.append(request_id)
        items = server.call("state", "daily")["items"]
    assert all(one < other for one, other in zip(ids, ids[1:])), "ids rise, across the crash too"
    assert sum(won.values()) == sum(item["drawn"] for item in items) == visitors
    for item in items:
        name, left = item["item_id"], item["quantity"]
        assert item["drawn"] == won[name], f"{name}: the server counts otherwise"
        assert left == -1 or (left >= 0 and left + won[name] == stocked[name]), f"{name}: over-issued"
        print(f"{name:<10}{won[name]:>8} won, {'unlimited' if left == -1 else left} left")
    print(f"{visitors} visitors, one crash, every prize accounted for")


if __name__ == "__main__":
    main()
