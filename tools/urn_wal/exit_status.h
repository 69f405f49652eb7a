/* exit_status.h: what urn-wal exits with. Scripts and monitoring rely on it. */
#ifndef URN_TOOLS_URN_WAL_EXIT_STATUS_H
#define URN_TOOLS_URN_WAL_EXIT_STATUS_H

enum exit_status {
    EXIT_SOUND = 0,
    EXIT_TORN_TAIL = 1, /* verify: torn tail only: never acknowledged, the next start discards it */
    EXIT_NOT_FOUND = 1, /* find: no such draw is kept */
    EXIT_DIFFERS = 1, /* export --reconcile: from the draws; diff: from each other, as of diff(1) */
    EXIT_NO_MOMENT = 1, /* replay, restore: there is no such moment, or it is not kept */
    EXIT_DAMAGE = 2,
    EXIT_MISSING = 3,        /* files, or parts of the log, are missing */
    EXIT_MEANING = 4,        /* the bytes are sound but cannot be true */
    EXIT_USAGE = 64,         /* sysexits: EX_USAGE */
    EXIT_BAD_INPUT = 65,     /* EX_DATAERR: a file that is not ours is not what it has to be */
    EXIT_CANNOT_OPEN = 66,   /* EX_NOINPUT */
    EXIT_UNAVAILABLE = 69,   /* EX_UNAVAILABLE: the server cannot be asked */
    EXIT_CANNOT_CREATE = 73, /* EX_CANTCREAT: what was to be made, or there is something already */
    EXIT_READ_ERROR = 74,    /* EX_IOERR: reading, or writing the output */
    EXIT_IN_USE = 75,        /* EX_TEMPFAIL: a server has the directory open, or was faster */
};

#endif
