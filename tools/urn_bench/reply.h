/* reply.h: stepping over replies as they arrive, and holding each against what was asked.
 *
 *     [1, msgid, nil, result]              result of a draw:
 *     [1, msgid, "CODE text", nil]             [first_request_id, outcomes, failed, odds_version, replayed]
 *
 * A load generator must cost less than what it measures, so nothing is decoded that is not looked
 * at, and nothing is kept: the reader goes over the bytes once, in whatever pieces they come, and
 * remembers a few numbers. Still every reply is checked whole: that it is a reply to a draw of so
 * many, that there are as many outcomes, of the kind asked for, and that `failed` counts those that
 * are nil. A reply to something else than a draw may have any result.
 *
 * Pure; threads: one at a time for each struct.
 */
#ifndef URN_TOOLS_URN_BENCH_REPLY_H
#define URN_TOOLS_URN_BENCH_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc_value.h"

#define REPLY_ERROR_BYTES 240u

enum reply_shape {
    REPLY_NAMES, /* as enum urnclient_as has them */
    REPLY_INDEXES,
    REPLY_TALLY,
    REPLY_ANY,
};

/* What replies must look like, all of a run alike. */
struct reply_expected {
    enum reply_shape shape;
    uint32_t draws; /* of one call; 0 for REPLY_ANY */
};

enum reply_field {
    REPLY_FIELD_MESSAGE,
    REPLY_FIELD_TYPE,
    REPLY_FIELD_MSGID,
    REPLY_FIELD_ERROR,
    REPLY_FIELD_NO_RESULT, /* behind an error */
    REPLY_FIELD_DRAW,
    REPLY_FIELD_FIRST_ID,
    REPLY_FIELD_OUTCOMES,
    REPLY_FIELD_OUTCOME,
    REPLY_FIELD_TALLY_NAME,
    REPLY_FIELD_TALLY_COUNT,
    REPLY_FIELD_FAILED,
    REPLY_FIELD_ODDS_VERSION,
    REPLY_FIELD_REPLAYED,
    REPLY_FIELD_SKIPPED, /* a value of any kind, and those inside it */
    REPLY_FIELD_END,
};

/* Zeroed: at the begin of a reply. */
struct reply_reader {
    /* What the reply says; meaningful once reply_read() has answered REPLY_WHOLE. */
    uint32_t msgid;
    bool is_error;
    uint32_t failed;       /* draws */
    uint64_t first_id;     /* of a draw */
    uint32_t error_length; /* as much of the error's text as there is room for */
    char error[REPLY_ERROR_BYTES];

    /* Where the reader stands. */
    enum reply_field field;
    enum reply_field field_after; /* REPLY_FIELD_SKIPPED */
    uint64_t left;                /* outcomes, pairs of a tally, values to skip */
    uint64_t counted;             /* outcomes that are nil; of a tally: draws */
    uint32_t body_left;           /* bytes of a str, bin or ext still to come */
    bool body_is_error;
    uint8_t held_bytes; /* of a value whose header came in pieces */
    uint8_t held[VALUE_HEADER_BYTES_MAX];
    const char *wrong; /* after REPLY_WRONG: what is; static */
};

enum reply_step {
    REPLY_MORE,  /* all bytes are taken, and the reply goes on */
    REPLY_WHOLE, /* a reply has ended; the next call begins with the one behind it */
    REPLY_WRONG, /* not what was asked for; the stream cannot be followed further */
};

/* Takes bytes from *next on, up to the end of a reply at most, and moves *next behind them. */
enum reply_step reply_read(struct reply_reader *reader, const struct reply_expected *expected,
                           const uint8_t **next, const uint8_t *end);

#endif
