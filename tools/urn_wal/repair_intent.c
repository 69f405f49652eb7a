/* repair_intent.c: REPAIR, read and written. See repair_intent.h. */
#include "tools/urn_wal/repair_intent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/file_io.h"

#define HEAD_BYTES_MAX 512u
#define CUT_BYTES_MAX  64u
#define TEXT_BYTES_MAX (HEAD_BYTES_MAX + REPAIR_CUTS_MAX * CUT_BYTES_MAX)

static const char *what_text(enum repair_what what)
{
    return what == REPAIR_TAIL ? "truncate-tail" : "truncate-at";
}

enum urn_code repair_intent_make(struct repair_intent *intent, struct urn_error *error)
{
    *intent = (struct repair_intent){.cuts = calloc(REPAIR_CUTS_MAX, sizeof *intent->cuts)};
    return intent->cuts != NULL ? URN_OK
                                : error_set(error, URN_NOMEMORY, ENOMEM, "cannot plan a repair");
}

void repair_intent_free(struct repair_intent *intent)
{
    free(intent->cuts);
    *intent = (struct repair_intent){.cuts = NULL};
}

/* text has TEXT_BYTES_MAX. Returns the length. */
static size_t format(const struct repair_intent *intent, char *text)
{
    int length = snprintf(text, HEAD_BYTES_MAX,
                          "urn repair\nformat: 1\nwhat: %s\nlsn: %" PRIu64 "\nloss: %" PRIu64
                          "\nepoch: %" PRIu32 "\nnext_request_id: %" PRIu64 "\ncopies: %s\n",
                          what_text(intent->what), intent->lsn, intent->loss, intent->epoch,
                          intent->next_request_id, intent->copies);
    CHECK(length > 0 && (size_t)length < HEAD_BYTES_MAX);
    size_t used = (size_t)length;
    for (uint32_t i = 0; i < intent->cut_count; i++) {
        const struct repair_cut *cut = &intent->cuts[i];
        length = snprintf(text + used, CUT_BYTES_MAX, "cut: %" PRIu32 " %" PRIu64 " %" PRIu64 "\n",
                          cut->slot, cut->from, cut->to);
        CHECK(length > 0 && (size_t)length < CUT_BYTES_MAX);
        used += (size_t)length;
    }
    length = snprintf(text + used, CUT_BYTES_MAX, "crc32c: %08" PRIx32 "\n", crc32c(text, used));
    CHECK(length > 0 && (size_t)length < CUT_BYTES_MAX);
    return used + (size_t)length;
}

/* The number behind a key at *at, which moves behind the character that ends it. */
static bool take(const char **at, const char *key, char end, uint64_t *number)
{
    const size_t length = strlen(key);
    char *behind = NULL;
    if (strncmp(*at, key, length) != 0)
        return false;
    *number = strtoull(*at + length, &behind, 10);
    if (*behind != end)
        return false;
    *at = behind + 1;
    return true;
}

static bool take_cut(const char **at, struct repair_cut *cut)
{
    uint64_t slot = 0;
    if (!take(at, "cut: ", ' ', &slot) || !take(at, "", ' ', &cut->from) ||
        !take(at, "", '\n', &cut->to))
        return false;
    cut->slot = (uint32_t)slot;
    return slot < SEGMENTS_MAX && cut->from < cut->to;
}

/* Takes what it finds; whether the text is what urn writes, writing it again tells. */
static bool parse(const char *text, struct repair_intent *intent)
{
    static const char *const begins[] = {
        [REPAIR_TAIL] = "urn repair\nformat: 1\nwhat: truncate-tail\n",
        [REPAIR_AT] = "urn repair\nformat: 1\nwhat: truncate-at\n"};
    static const char copies[] = "copies: ";
    const char *at = text;
    uint64_t epoch = 0;
    intent->what =
        strncmp(at, begins[REPAIR_AT], strlen(begins[REPAIR_AT])) == 0 ? REPAIR_AT : REPAIR_TAIL;
    if (strncmp(at, begins[intent->what], strlen(begins[intent->what])) != 0)
        return false;
    at += strlen(begins[intent->what]);
    if (!take(&at, "lsn: ", '\n', &intent->lsn) || !take(&at, "loss: ", '\n', &intent->loss) ||
        !take(&at, "epoch: ", '\n', &epoch) ||
        !take(&at, "next_request_id: ", '\n', &intent->next_request_id) || epoch > UINT32_MAX ||
        strncmp(at, copies, strlen(copies)) != 0)
        return false;
    intent->epoch = (uint32_t)epoch;
    at += strlen(copies);
    const size_t length = strcspn(at, "\n");
    if (length == 0 || length >= sizeof intent->copies || at[length] == 0)
        return false;
    memcpy(intent->copies, at, length);
    intent->copies[length] = 0;
    at += length + 1;
    intent->cut_count = 0;
    while (strncmp(at, "cut: ", 5) == 0) {
        if (intent->cut_count == REPAIR_CUTS_MAX ||
            !take_cut(&at, &intent->cuts[intent->cut_count]))
            return false;
        intent->cut_count++;
    }
    return true;
}

static enum urn_code read_text(struct os_file *file, char *text, size_t *length,
                               struct urn_error *error)
{
    uint64_t size_bytes = 0;
    const int failure = os_file_size(file, &size_bytes);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot tell the size of " DATA_DIR_REPAIR);
    if (size_bytes >= TEXT_BYTES_MAX)
        return error_set(error, URN_DAMAGED, 0, DATA_DIR_REPAIR " is longer than urn writes it");
    *length = (size_t)size_bytes;
    text[size_bytes] = 0;
    return file_read_exact(file, DATA_DIR_REPAIR, text, *length, 0, error);
}

static enum urn_code understand(const char *text, size_t length, struct repair_intent *intent,
                                struct urn_error *error)
{
    char *again = malloc(TEXT_BYTES_MAX);
    if (again == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read " DATA_DIR_REPAIR);
    const bool is_ours = strlen(text) == length && parse(text, intent) &&
                         format(intent, again) == length && memcmp(text, again, length) == 0;
    free(again);
    return is_ours
               ? URN_OK
               : error_set(error, URN_DAMAGED, 0,
                           DATA_DIR_REPAIR " is not as urn writes it: the repair that has begun "
                                           "cannot be finished; the folder lost+found-... has "
                                           "copies of what it was to change");
}

enum urn_code repair_intent_read(struct os_dir *dir, struct repair_intent *intent, bool *begun,
                                 struct urn_error *error)
{
    struct os_file *file = NULL;
    const int failure = os_file_open(dir, DATA_DIR_REPAIR, OS_READ, &file);
    *begun = failure == 0;
    if (failure == ENOENT)
        return URN_OK;
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open " DATA_DIR_REPAIR);
    char *text = malloc(TEXT_BYTES_MAX);
    size_t length = 0;
    if (text == NULL) {
        os_file_close(file);
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read " DATA_DIR_REPAIR);
    }
    enum urn_code code = read_text(file, text, &length, error);
    if (code == URN_OK)
        code = understand(text, length, intent, error);
    os_file_close(file);
    free(text);
    return code;
}

enum urn_code repair_intent_publish(struct os_dir *dir, const struct repair_intent *intent,
                                    struct urn_error *error)
{
    char *text = malloc(TEXT_BYTES_MAX);
    if (text == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot write " DATA_DIR_REPAIR);
    const size_t length = format(intent, text);
    const enum urn_code code = file_publish(dir, DATA_DIR_REPAIR, text, length, error);
    free(text);
    return code;
}
