"""wal_log.py: reads a log that has not come around yet, from its bytes as docs/wal-format.md has them.

Written from the format and not from the engine's code, so that the two check each other.
"""
import pathlib
import struct

SEGMENT_HEADER_BYTES = 4096
GROUP_HEADER = struct.Struct("<4sII B3x QQQ II QQQ 16s16s")
ENTRY_HEADER = struct.Struct("<BBHI")
DATA, PAD, MARK, EPOCH = 1, 2, 3, 4
DRAWS = 1


def groups(data_dir):
    """Yields (kind, draws, first request id, bytes) of each group from LSN 0 to the log's end."""
    lsn = 0
    for path in sorted(pathlib.Path(data_dir).glob("segment-*")):
        segment = path.read_bytes()
        at = SEGMENT_HEADER_BYTES
        while at < len(segment):
            if len(segment) - at < GROUP_HEADER.size:
                return
            (magic, length, _crc, kind, _ring, own_lsn, _durable, _epoch, draws, _engine_us, _wall_us,
             first_id, _before, _after) = GROUP_HEADER.unpack_from(segment, at)
            if magic != b"URNG" or own_lsn != lsn + at:
                return
            yield kind, draws, first_id, segment[at:at + length]
            at += length
        lsn += len(segment)


def run_of_outcomes(entry):
    """The outcomes of a draws entry: catalog indexes, None for a failed draw."""
    width = entry[1]
    count = struct.unpack_from("<I", entry, 12)[0]
    escape = (1 << 8 * width) - 1
    at = 24
    outcomes = []
    while len(outcomes) < count:
        value = int.from_bytes(entry[at:at + width], "little")
        at += width
        if value == escape:
            failed = struct.unpack_from("<I", entry, at)[0]
            at += 4
            outcomes.extend([None] * failed)
        else:
            outcomes.append(value)
    assert len(outcomes) == count
    return outcomes


def logged_outcomes(data_dir, catalogs):
    """request id -> (pool, item or None). catalogs: in order of the pools' creation."""
    pools = [(name, [item["item_id"] for item in catalog]) for name, catalog in catalogs.items()]
    logged = {}
    for kind, draws, first_id, group in groups(data_dir):
        assert (draws > 0) <= (kind == DATA)
        at = GROUP_HEADER.size
        request_id = first_id
        while at + ENTRY_HEADER.size <= len(group):
            kind_of_entry, _width, _zero, length = ENTRY_HEADER.unpack_from(group, at)
            if kind_of_entry == 0:
                break
            if kind_of_entry == DRAWS:
                entry = group[at:at + length]
                pool, items = pools[struct.unpack_from("<I", entry, 8)[0]]
                for outcome in run_of_outcomes(entry):
                    assert request_id not in logged
                    logged[request_id] = (pool, None if outcome is None else items[outcome])
                    request_id += 1
            at += length
        assert request_id == first_id + draws
    return logged


def printed_outcomes(text):
    """The same from what `urn-wal cat` prints: "DRAW <request id> <pool> <item id>". Reservations of ids,
    the only other thing that a server logs by itself, must rise."""
    printed = {}
    reserved = 0
    for line in text.splitlines():
        if line.startswith("IDS reserved_up_to="):
            more = int(line.partition("=")[2])
            assert more > reserved, line
            reserved = more
            continue
        word, request_id, pool, item = line.split(" ")
        assert word == "DRAW", line
        assert int(request_id) not in printed, line
        printed[int(request_id)] = (pool, None if item == "FAILED" else item)
    return printed


assert GROUP_HEADER.size == 104
