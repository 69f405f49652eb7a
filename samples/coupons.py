#!/usr/bin/python3
"""coupons.py: a drop of N unique codes: each is an item of quantity 1, and comes exactly once.

    samples/coupons.py [N]              default 1000000: draws them all and checks
    samples/coupons.py --config N       prints the configuration of such a drop
"""
import random
import sys

import local_server

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no I, O, 0, 1: people type these
BATCH = 1000


def make_codes(count):
    """Unique codes of 12 letters. The generator is the system's: a code is worth money, and whoever has
    one must not be able to guess the next."""
    chance, codes = random.SystemRandom(), {}
    while len(codes) < count:
        codes["".join(chance.choices(ALPHABET, k=12))] = None
    return list(codes)


def make_config(codes):
    # Each item takes memory, so the bound is what is needed.
    lines = ["data_dir: coupon-data", 'listen: ["127.0.0.1:7707"]',
             "wal: {segment_size: 16MiB, segments: 3}",
             f"limits: {{max_items: {max(len(codes), 1000)}, max_batch: {BATCH}}}",
             "pools:", "  - name: drop", "    catalog:"]
    lines += [f'      - {{item_id: "{code}", quantity: 1, probability: 1}}' for code in codes]
    return "\n".join([*lines, ""])


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--config"]:
        print(make_config(make_codes(int(arguments[1]))), end="")
        return
    codes = make_codes(int(arguments[0]) if arguments else 1000000)
    with local_server.start(make_config(codes)) as server:
        given = []
        while len(given) < len(codes):
            count = min(BATCH, len(codes) - len(given))
            _, outcomes, failed, _, _ = server.call("draw", "drop", count)
            assert failed == 0, "the drop ran out too early"
            given += outcomes
        assert server.call("draw", "drop", 1)[1] == [None], "there is one more than there are"
        server.crash()
        server.start()
        assert server.call("draw", "drop", 1)[1] == [None], "a code came back after a crash"
    assert len(set(given)) == len(given), "a code came twice"
    assert set(given) == set(codes), "a code is missing"
    print(f"{len(given)} codes, each drawn exactly once; none came back after a crash")


if __name__ == "__main__":
    main()
