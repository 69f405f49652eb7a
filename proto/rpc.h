/* rpc.h: MessagePack-RPC from bytes: where a message ends, what it asks, what its parameters are.
 *
 * The messages, each one MessagePack array (no length prefix, one after another on a byte stream):
 *
 *     request       [0, msgid, method, params]      msgid: integer, 0 to 2^32 - 1
 *     response      [1, msgid, error, result]       method: str or bin
 *     notification  [2, method, params]             params: array
 *
 * A receiver goes through three steps, none of which allocates:
 *
 *     rpc_scan()          has a whole message arrived?   keeps its place between calls, so that every
 *                                                        byte is looked at once however it arrives
 *     rpc_request_read()  whose answer, which method     points into the receive buffer
 *     rpc_param_*()       the parameters, in order       points into the receive buffer
 *
 * Reading is a pull reader of our own over the received bytes, not msgpack-c's unpacker, because it
 * must be bounded before anything is built from it: a request is admitted by its length, its
 * nesting and its announced elements alone, and nothing a client sends makes us allocate. A fuzz
 * target holds it against msgpack-c's unpacker (tests/fuzz/fuzz_rpc.c).
 *
 * The bounds, kept at every byte and not only at the end:
 *   1. a message is at most max_message_bytes long;
 *   2. arrays and maps nest at most max_nesting deep, the message's own array included;
 *   3. a header that announces more elements or bytes than could still follow within
 *      max_message_bytes is refused when it is seen (each element takes one byte at least; what all
 *      open arrays and maps still expect is added up);
 *   4. byte 0xc1, which MessagePack never uses, is refused everywhere; extension types are refused
 *      as type, msgid, method and params, and elsewhere are values which no parameter accepts.
 *
 * Threads: no shared state; one thread at a time for each struct.
 */
#ifndef URN_PROTO_RPC_H
#define URN_PROTO_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"

/* ---- methods ----------------------------------------------------------------------------- */

enum rpc_method {
#define RPC_METHOD(symbol, name, min, max, parameters, result, meaning) RPC_##symbol,
#include "proto/methods.def"
#undef RPC_METHOD
    RPC_METHOD_COUNT
};

/* Text in somebody's buffer: neither terminated nor checked to be UTF-8. */
struct rpc_text {
    const char *bytes;
    uint32_t length;
};

/* RPC_METHOD_COUNT when there is no such method. */
enum rpc_method rpc_method_find(struct rpc_text name);
const char *rpc_method_name(enum rpc_method method);

/* Fills *error (URN_NOMETHOD) with the name that was sent and the names there are. */
enum urn_code rpc_method_unknown(struct rpc_text name, struct urn_error *error);

/* Renders text of unknown origin for a message to people: in double quotes, at most
 * RPC_QUOTED_TEXT_BYTES of it (then ...), control characters and what is not UTF-8 as \xHH. The
 * result is UTF-8, terminated, and returned. */
#define RPC_QUOTED_TEXT_BYTES 64u
#define RPC_QUOTED_BYTES      (4u * RPC_QUOTED_TEXT_BYTES + 6u)
const char *rpc_quote(struct rpc_text text, char quoted[RPC_QUOTED_BYTES]);

/* How many bytes the well-formed UTF-8 character at bytes takes (1 to 4); 0 when there is none. */
uint32_t rpc_utf8_bytes(const char *bytes, size_t available);

/* ---- where a message ends ---------------------------------------------------------------- */

#define RPC_NESTING_MAX 32u /* what max_nesting may be */

enum rpc_side {
    RPC_SERVER, /* takes requests and notifications */
    RPC_CLIENT, /* takes responses and notifications */
};

struct rpc_bounds {
    enum rpc_side side;
    uint32_t max_message_bytes; /* at least 16 */
    uint32_t max_nesting;       /* 2 to RPC_NESTING_MAX */
};

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFICATION = 2 };

enum rpc_scan_result {
    RPC_NEED_MORE, /* all fine so far; call again with more bytes */
    RPC_COMPLETE,  /* a whole message: scan->offset bytes long */
    RPC_BAD,       /* not a message; scan->reason says why. The stream cannot be followed further */
    RPC_TOOBIG,    /* rule 1 or 3; scan->reason says so. Cannot be followed further either */
};

/* Where a scan stands. All fields may be read; rpc_scan_begin() and rpc_scan() write them. */
struct rpc_scan {
    uint64_t offset;  /* of the next header; may lie beyond what has arrived (inside a string) */
    uint64_t pending; /* values still to come, of all open arrays and maps together */
    uint64_t values;  /* seen so far, arrays and maps and all that is in them */
    uint32_t depth;   /* open arrays and maps */
    uint32_t fields;  /* of the message's own array: 3 or 4; 0 until it was seen */
    uint32_t msgid;   /* valid when has_msgid: of a request or response, also of a refused one */
    bool has_msgid;
    bool ended;         /* COMPLETE, BAD or TOOBIG was answered */
    enum rpc_type type; /* valid once two bytes were seen */
    const char *reason; /* after BAD or TOOBIG; static text, ready for a client to read */
    uint32_t remaining[RPC_NESTING_MAX + 1]; /* values still to come at each depth; see rpc.c */
};

/* Begins with a new message. Call once before the first and after every complete one. */
void rpc_scan_begin(struct rpc_scan *scan);

/* Looks for the end of the message that starts at message[0] and of which `available` bytes have
 * arrived (never fewer than at the call before; the buffer may have moved). Looks at bytes that it
 * has not seen yet only. available may reach into later messages: those are left alone. With
 * max_message_bytes available the answer is never RPC_NEED_MORE: a buffer of that size suffices. */
enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const struct rpc_bounds *bounds,
                              const uint8_t *message, size_t available);

/* ---- what it asks ------------------------------------------------------------------------ */

/* A place among values. */
struct rpc_reader {
    const uint8_t *next;
    const uint8_t *end;
};

/* The parameters of a request, taken one after another. */
struct rpc_params {
    struct rpc_reader reader;
    uint32_t count; /* in all */
    uint32_t taken;
};

struct rpc_request {
    enum rpc_type type; /* RPC_REQUEST or RPC_NOTIFICATION */
    uint32_t msgid;     /* of a request */
    struct rpc_text method;
    struct rpc_params params;
};

/* Opens a whole message. Everything in *request points into message. Never fails for what
 * rpc_scan() found COMPLETE on the server's side; for other bytes answers URN_BADREQ and reads
 * nothing beyond length. */
enum urn_code rpc_request_read(const uint8_t *message, size_t length, struct rpc_request *request,
                               struct urn_error *error);

/* ---- its parameters ---------------------------------------------------------------------- */

/* Each of these takes the next parameter. name is what documentation calls it; the error (always
 * URN_BADARG) says which parameter, what was expected and what was there:
 *     parameter 2 (count): expected an integer from 1 to 100000, got a string
 *     parameter 1 (pool) is missing
 * On an error the parameters are not to be read further. */

/* A str or a bin; what it may contain is for the caller to say. */
enum urn_code rpc_param_text(struct rpc_params *params, const char *name, struct rpc_text *text,
                             struct urn_error *error);

/* An integer in whichever encoding, from minimum to maximum, both included. */
enum urn_code rpc_param_uint(struct rpc_params *params, const char *name, uint64_t minimum,
                             uint64_t maximum, uint64_t *value, struct urn_error *error);
enum urn_code rpc_param_int(struct rpc_params *params, const char *name, int64_t minimum,
                            int64_t maximum, int64_t *value, struct urn_error *error);
enum urn_code rpc_param_bool(struct rpc_params *params, const char *name, bool *value,
                             struct urn_error *error);

/* After the last parameter: refuses what is left over ("draw takes at most 3 parameters, got 4").
 */
enum urn_code rpc_params_end(const struct rpc_params *params, enum rpc_method method,
                             struct urn_error *error);

/* ---- options: the map that may come last ------------------------------------------------- */

#define RPC_OPTIONS_MAX 32u /* names that a method can know */

struct rpc_options {
    struct rpc_reader reader;
    uint32_t left;            /* pairs not yet taken */
    uint32_t seen;            /* a bit for each name that has been taken */
    const char *const *names; /* those the method knows */
    uint32_t name_count;
    uint32_t current; /* index in names of the pair whose value comes next */
};

/* Takes the next parameter, which must be the last, as the map of options; when there is none (or
 * it is nil) there are no options. names must live as long as *options. */
enum urn_code rpc_param_options(struct rpc_params *params, const char *const *names,
                                uint32_t name_count, struct rpc_options *options,
                                struct urn_error *error);

/* Moves to the next pair. *which is the option's index in names, and one of rpc_option_*() must
 * take its value; at the end *which is name_count. Unknown and repeated options are URN_BADARG (the
 * text lists what is known). */
enum urn_code rpc_option_next(struct rpc_options *options, uint32_t *which,
                              struct urn_error *error);

/* Like their namesakes: option "limit": expected an integer from 0 to 10, got nil */
enum urn_code rpc_option_text(struct rpc_options *options, struct rpc_text *text,
                              struct urn_error *error);
enum urn_code rpc_option_uint(struct rpc_options *options, uint64_t minimum, uint64_t maximum,
                              uint64_t *value, struct urn_error *error);
enum urn_code rpc_option_int(struct rpc_options *options, int64_t minimum, int64_t maximum,
                             int64_t *value, struct urn_error *error);
enum urn_code rpc_option_bool(struct rpc_options *options, bool *value, struct urn_error *error);

/* A text that must be one of `choices`; *choice is its index. Text: option "as": expected "names",
 * "indexes" or "tally", got "name". */
enum urn_code rpc_option_choice(struct rpc_options *options, const char *const *choices,
                                uint32_t choice_count, uint32_t *choice, struct urn_error *error);

/* ---- lists: an array of maps ------------------------------------------------------------- */

struct rpc_list {
    struct rpc_reader reader;
    uint32_t left; /* maps not yet taken */
};

/* Takes the next parameter, which must be the last, as an array of maps; when there is none (or it
 * is nil) the list is empty. */
enum urn_code rpc_param_list(struct rpc_params *params, const char *name, struct rpc_list *list,
                             struct urn_error *error);

/* Opens the next map, whose pairs are then taken as options are; list->left is more than 0. Once
 * rpc_option_next() has come to its end, rpc_list_behind() goes on behind it. */
enum urn_code rpc_list_next(struct rpc_list *list, const char *const *names, uint32_t name_count,
                            struct rpc_options *options, struct urn_error *error);
void rpc_list_behind(struct rpc_list *list, const struct rpc_options *options);

/* True when text is exactly the terminated string word. */
bool rpc_text_is(struct rpc_text text, const char *word);

#endif
