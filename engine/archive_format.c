/* archive_format.c: see archive_format.h. */
#include "engine/archive_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/check.h"

#define IDENTITY_LINE "urn archive"
#define GAP_LINE      "urn archive gap"
#define NOTE_LINE     "urn archived to"
#define NOT_OURS      "its lines are not those that urn writes"

static const char *const reason_words[] = {
    [ARCHIVE_GAP_REUSED] = "reused",
    [ARCHIVE_GAP_ABSENT] = "absent",
    [ARCHIVE_GAP_RESIZED] = "resized",
};
static const char *const policy_words[] = {
    [ARCHIVE_NOTE_BLOCK] = "block",
    [ARCHIVE_NOTE_GAP] = "gap",
    [ARCHIVE_NOTE_OFF] = "off",
};

#define WORD_BYTES_MAX 16u

/* Which of the words a fact says; count: none of them. */
static uint32_t take_word(struct facts_reader *reader, const char *name, const char *const *words,
                          uint32_t count)
{
    char word[WORD_BYTES_MAX];
    uint32_t which = 0;
    if (!facts_take_text(reader, name, word, sizeof word))
        return count;
    while (which < count && strcmp(word, words[which]) != 0)
        which++;
    return which;
}

/* ---- names ----------------------------------------------------------------------------------- */

void archive_segment_name(char name[DATA_DIR_NAME_MAX], uint64_t begin_lsn)
{
    snprintf(name, DATA_DIR_NAME_MAX, "segment-%016" PRIx64, begin_lsn);
}

void archive_gap_name(char name[DATA_DIR_NAME_MAX], uint64_t from_lsn, uint64_t to_lsn)
{
    snprintf(name, DATA_DIR_NAME_MAX, "gap-%016" PRIx64 "-%016" PRIx64, from_lsn, to_lsn);
}

/* The 16 digits at text; false: others stand there. */
static bool parse_lsn(const char *text, uint64_t *lsn)
{
    enum { LSN_DIGITS = 16 };
    uint64_t value = 0;
    for (uint32_t i = 0; i < LSN_DIGITS; i++) {
        const char digit = text[i];
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    *lsn = value;
    return value <= URN_NUMBER_MAX;
}

/* A name without ".tmp". */
static struct archive_name parse_whole(const char *name)
{
    static const char segment[] = "segment-";
    static const char gap[] = "gap-";
    struct archive_name parsed = {.kind = ARCHIVE_NAME_FOREIGN};
    char again[DATA_DIR_NAME_MAX] = "";
    if (strcmp(name, ARCHIVE_IDENTITY) == 0) {
        parsed.kind = ARCHIVE_NAME_IDENTITY;
        return parsed;
    }
    if (strcmp(name, ARCHIVE_LOCK) == 0) {
        parsed.kind = ARCHIVE_NAME_LOCK;
        return parsed;
    }
    if (data_dir_parse_snapshot_name(name, &parsed.from_lsn, &parsed.serial)) {
        parsed.kind = ARCHIVE_NAME_SNAPSHOT;
        return parsed;
    }
    /* Digits stop at the zero byte, so that nothing is read behind it. */
    if (strncmp(name, segment, sizeof segment - 1) == 0 &&
        parse_lsn(name + sizeof segment - 1, &parsed.from_lsn)) {
        parsed.kind = ARCHIVE_NAME_SEGMENT;
        archive_segment_name(again, parsed.from_lsn);
    } else if (strncmp(name, gap, sizeof gap - 1) == 0 &&
               parse_lsn(name + sizeof gap - 1, &parsed.from_lsn) &&
               name[sizeof gap - 1 + 16] == '-' &&
               parse_lsn(name + sizeof gap + 16, &parsed.to_lsn) &&
               parsed.from_lsn < parsed.to_lsn) {
        parsed.kind = ARCHIVE_NAME_GAP;
        archive_gap_name(again, parsed.from_lsn, parsed.to_lsn);
    }
    if (strcmp(again, name) != 0)
        parsed = (struct archive_name){.kind = ARCHIVE_NAME_FOREIGN};
    return parsed;
}

struct archive_name archive_name_parse(const char *name)
{
    static const char temporary[] = DATA_DIR_TEMPORARY;
    const size_t length = strlen(name);
    char whole[DATA_DIR_NAME_MAX];
    if (length < sizeof temporary || length - (sizeof temporary - 1) >= sizeof whole ||
        strcmp(name + length - (sizeof temporary - 1), temporary) != 0)
        return parse_whole(name);
    memcpy(whole, name, length - (sizeof temporary - 1));
    whole[length - (sizeof temporary - 1)] = 0;
    struct archive_name parsed = parse_whole(whole);
    if (parsed.kind != ARCHIVE_NAME_FOREIGN)
        parsed.kind = ARCHIVE_NAME_TEMPORARY;
    return parsed;
}

/* ---- ARCHIVE --------------------------------------------------------------------------------- */

size_t archive_identity_format(const uint8_t ring_uuid[WAL_UUID_BYTES],
                               char text[ARCHIVE_TEXT_BYTES_MAX])
{
    struct facts_writer writer;
    facts_begin(&writer, text, ARCHIVE_TEXT_BYTES_MAX, IDENTITY_LINE, ARCHIVE_FORMAT_VERSION);
    facts_add_uuid(&writer, "ring", ring_uuid);
    return facts_end(&writer);
}

enum urn_code archive_identity_parse(const char *text, size_t length,
                                     uint8_t ring_uuid[WAL_UUID_BYTES], struct urn_error *error)
{
    struct facts_reader reader;
    if (facts_open(&reader, text, length, IDENTITY_LINE, ARCHIVE_FORMAT_VERSION, error) != URN_OK)
        return error->code;
    if (!facts_take_uuid(&reader, "ring", ring_uuid) || !facts_at_end(&reader))
        return error_set(error, URN_DAMAGED, 0, NOT_OURS);
    return URN_OK;
}

/* ---- gaps ------------------------------------------------------------------------------------ */

size_t archive_gap_format(const struct archive_gap *gap, char text[ARCHIVE_TEXT_BYTES_MAX])
{
    struct facts_writer writer;
    facts_begin(&writer, text, ARCHIVE_TEXT_BYTES_MAX, GAP_LINE, ARCHIVE_FORMAT_VERSION);
    facts_add_uuid(&writer, "ring", gap->ring_uuid);
    facts_add_number(&writer, "from", gap->from_lsn);
    facts_add_number(&writer, "to", gap->to_lsn);
    facts_add_text(&writer, "reason", reason_words[gap->reason]);
    return facts_end(&writer);
}

enum urn_code archive_gap_parse(const char *text, size_t length, struct archive_gap *gap,
                                struct urn_error *error)
{
    enum { REASONS = sizeof reason_words / sizeof reason_words[0] };
    struct facts_reader reader;
    if (facts_open(&reader, text, length, GAP_LINE, ARCHIVE_FORMAT_VERSION, error) != URN_OK)
        return error->code;
    *gap = (struct archive_gap){.from_lsn = 0};
    bool taken = facts_take_uuid(&reader, "ring", gap->ring_uuid) &&
                 facts_take_number(&reader, "from", URN_NUMBER_MAX, &gap->from_lsn) &&
                 facts_take_number(&reader, "to", URN_NUMBER_MAX, &gap->to_lsn);
    const uint32_t reason = taken ? take_word(&reader, "reason", reason_words, REASONS) : REASONS;
    if (reason == REASONS || !facts_at_end(&reader) || gap->from_lsn >= gap->to_lsn)
        return error_set(error, URN_DAMAGED, 0, NOT_OURS);
    gap->reason = (enum archive_gap_reason)reason;
    return URN_OK;
}

/* ---- ARCHIVED-TO ----------------------------------------------------------------------------- */

size_t archive_note_format(const struct archive_note *note, char text[ARCHIVE_NOTE_BYTES_MAX])
{
    struct facts_writer writer;
    facts_begin(&writer, text, ARCHIVE_NOTE_BYTES_MAX, NOTE_LINE, ARCHIVE_FORMAT_VERSION);
    facts_add_uuid(&writer, "ring", note->ring_uuid);
    facts_add_text(&writer, "policy", policy_words[note->policy]);
    facts_add_text(&writer, "path", note->path);
    return facts_end(&writer);
}

enum urn_code archive_note_parse(const char *text, size_t length, struct archive_note *note,
                                 struct urn_error *error)
{
    enum { POLICIES = sizeof policy_words / sizeof policy_words[0] };
    struct facts_reader reader;
    if (facts_open(&reader, text, length, NOTE_LINE, ARCHIVE_FORMAT_VERSION, error) != URN_OK)
        return error->code;
    *note = (struct archive_note){.path = ""};
    uint32_t policy = POLICIES;
    if (facts_take_uuid(&reader, "ring", note->ring_uuid))
        policy = take_word(&reader, "policy", policy_words, POLICIES);
    if (policy == POLICIES || !facts_take_text(&reader, "path", note->path, sizeof note->path) ||
        !facts_at_end(&reader))
        return error_set(error, URN_DAMAGED, 0, NOT_OURS);
    note->policy = (enum archive_note_policy)policy;
    return URN_OK;
}
