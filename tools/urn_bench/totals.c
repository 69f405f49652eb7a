/* totals.c: see totals.h. */
#include "tools/urn_bench/totals.h"

#include <stdio.h>
#include <string.h>

/* The code that the text begins with: capitals up to a blank or the end. */
static void read_code(const char *text, uint32_t length, char code[TOTALS_CODE_BYTES])
{
    uint32_t letters = 0;
    while (letters < length && text[letters] >= 'A' && text[letters] <= 'Z')
        letters++;
    bool is_code =
        letters > 0 && letters < TOTALS_CODE_BYTES && (letters == length || text[letters] == ' ');
    snprintf(code, TOTALS_CODE_BYTES, "%.*s", is_code ? (int)letters : 1, is_code ? text : "?");
}

/* The place where a code is counted; the last one is for all codes there is no room for. */
static struct error_count *find_code(struct totals *totals, const char *code)
{
    for (uint32_t i = 0; i < totals->code_count; i++)
        if (strcmp(totals->codes[i].code, code) == 0)
            return &totals->codes[i];
    if (totals->code_count == TOTALS_CODES_MAX)
        return &totals->codes[TOTALS_CODES_MAX - 1];
    struct error_count *found = &totals->codes[totals->code_count++];
    snprintf(found->code, sizeof found->code, "%s",
             totals->code_count == TOTALS_CODES_MAX ? "?" : code);
    return found;
}

/* What a server says goes to a terminal: only ASCII that prints. */
static void copy_printable(const char *text, uint32_t length, char to[TOTALS_TEXT_BYTES])
{
    uint32_t bytes = length < TOTALS_TEXT_BYTES - 1 ? length : TOTALS_TEXT_BYTES - 1;
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    to[bytes] = '\0';
}

void totals_add_error(struct totals *totals, const char *text, uint32_t length)
{
    char code[TOTALS_CODE_BYTES];
    read_code(text, length, code);
    if (strcmp(code, "BUSY") == 0) {
        totals->busy++;
        return;
    }
    totals->errors++;
    struct error_count *counted = find_code(totals, code);
    if (counted->count++ == 0)
        copy_printable(text, length, counted->text);
}

static void merge_codes(struct totals *totals, const struct totals *other)
{
    for (uint32_t i = 0; i < other->code_count; i++) {
        struct error_count *counted = find_code(totals, other->codes[i].code);
        if (counted->count == 0)
            memcpy(counted->text, other->codes[i].text, sizeof counted->text);
        counted->count += other->codes[i].count;
    }
}

bool totals_merge(struct totals *totals, const struct totals *other)
{
    totals->calls += other->calls;
    totals->busy += other->busy;
    totals->errors += other->errors;
    totals->warm_up_calls += other->warm_up_calls;
    totals->unanswered += other->unanswered;
    totals->held_back += other->held_back;
    totals->failed_draws += other->failed_draws;
    totals->bytes_sent += other->bytes_sent;
    totals->bytes_received += other->bytes_received;
    totals->disordered += other->disordered;
    if (other->last_reply_ns > totals->last_reply_ns)
        totals->last_reply_ns = other->last_reply_ns;
    histogram_merge(&totals->latency_ns, &other->latency_ns);
    merge_codes(totals, other);
    return ids_merge(&totals->ids, &other->ids);
}

void totals_free(struct totals *totals)
{
    ids_free(&totals->ids);
}
