/* identity.c: see identity.h. */
#include "engine/identity.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/crc32c.h"

#define FIRST_LINE     "urn data directory\n"
#define CRC_KEY        "crc32c: "
#define CRC_LINE_BYTES (sizeof CRC_KEY - 1 + 8 + 1)

const char *geometry_fault(const struct wal_geometry *geometry)
{
    uint64_t size = geometry->segment_size_bytes;
    if (size < SEGMENT_SIZE_BYTES_MIN || size > SEGMENT_SIZE_BYTES_MAX)
        return "the segment size is out of range";
    if (size % OS_PAGE_BYTES != 0)
        return "the segment size is not a multiple of 4096";
    if (geometry->segments < SEGMENTS_MIN || geometry->segments > SEGMENTS_MAX)
        return "the number of segments is out of range";
    return NULL;
}

void uuid_text(const uint8_t uuid[WAL_UUID_BYTES], char text[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (uint32_t i = 0; i < WAL_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[uuid[i] >> 4];
        *to++ = digits[uuid[i] & 0xf];
    }
    *to++ = '\0';
    CHECK(to == text + UUID_TEXT_BYTES);
}

size_t identity_format(const struct wal_geometry *geometry, char text[IDENTITY_BYTES_MAX])
{
    CHECK(geometry_fault(geometry) == NULL);
    char uuid[UUID_TEXT_BYTES];
    uuid_text(geometry->ring_uuid, uuid);
    int facts =
        snprintf(text, IDENTITY_BYTES_MAX,
                 FIRST_LINE "format: %u\n"
                            "ring: %s\n"
                            "segment_size: %" PRIu64 "\n"
                            "segments: %" PRIu32 "\n",
                 IDENTITY_FORMAT_VERSION, uuid, geometry->segment_size_bytes, geometry->segments);
    CHECK(facts > 0 && (size_t)facts < IDENTITY_BYTES_MAX - CRC_LINE_BYTES);
    size_t length = (size_t)facts;
    snprintf(text + length, IDENTITY_BYTES_MAX - length, CRC_KEY "%08" PRIx32 "\n",
             crc32c(text, length));
    return length + CRC_LINE_BYTES;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* What is still to be read. Each take_ function steps over what it is named after, or says no. */
struct text_left {
    const char *at, *end;
};

static bool take_literal(struct text_left *left, const char *literal)
{
    size_t length = strlen(literal);
    if ((size_t)(left->end - left->at) < length || memcmp(left->at, literal, length) != 0)
        return false;
    left->at += length;
    return true;
}

/* Decimal, at most maximum, no sign, no leading zero. */
static bool take_number(struct text_left *left, uint64_t maximum, uint64_t *number)
{
    const char *begin = left->at;
    uint64_t value = 0;
    for (; left->at < left->end && *left->at >= '0' && *left->at <= '9'; left->at++) {
        uint64_t digit = (uint64_t)(*left->at - '0');
        if (value > (maximum - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return left->at > begin && (*begin != '0' || left->at == begin + 1);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool take_hex_byte(struct text_left *left, uint8_t *byte)
{
    if (left->end - left->at < 2)
        return false;
    int high = hex_digit(left->at[0]);
    int low = hex_digit(left->at[1]);
    if (high < 0 || low < 0)
        return false;
    *byte = (uint8_t)(high << 4 | low);
    left->at += 2;
    return true;
}

static bool take_uuid(struct text_left *left, uint8_t uuid[WAL_UUID_BYTES])
{
    for (uint32_t i = 0; i < WAL_UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && !take_literal(left, "-"))
            return false;
        if (!take_hex_byte(left, &uuid[i]))
            return false;
    }
    return true;
}

/* True when the last line is the CRC of all that stands before it; *facts is then what does. */
static bool crc_holds(const char *text, size_t length, struct text_left *facts)
{
    if (length < CRC_LINE_BYTES)
        return false;
    size_t facts_bytes = length - CRC_LINE_BYTES;
    struct text_left crc_line = {text + facts_bytes, text + length};
    if (!take_literal(&crc_line, CRC_KEY))
        return false;
    uint32_t crc = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t byte = 0;
        if (!take_hex_byte(&crc_line, &byte))
            return false;
        crc = crc << 8 | byte;
    }
    *facts = (struct text_left){text, text + facts_bytes};
    return take_literal(&crc_line, "\n") && crc == crc32c(text, facts_bytes);
}

static bool take_geometry(struct text_left *left, struct wal_geometry *geometry)
{
    uint64_t segments = 0;
    bool taken = take_literal(left, "ring: ") && take_uuid(left, geometry->ring_uuid) &&
                 take_literal(left, "\nsegment_size: ") &&
                 take_number(left, UINT64_MAX, &geometry->segment_size_bytes) &&
                 take_literal(left, "\nsegments: ") && take_number(left, UINT32_MAX, &segments) &&
                 take_literal(left, "\n") && left->at == left->end;
    geometry->segments = (uint32_t)segments;
    return taken;
}

enum urn_code identity_parse(const char *text, size_t length, struct wal_geometry *geometry,
                             struct urn_error *error)
{
    struct text_left left;
    if (length > IDENTITY_BYTES_MAX || !crc_holds(text, length, &left))
        return error_set(error, URN_DAMAGED, 0, "its checksum does not match");
    uint64_t version = 0;
    if (!take_literal(&left, FIRST_LINE) || !take_literal(&left, "format: ") ||
        !take_number(&left, UINT64_MAX, &version) || !take_literal(&left, "\n"))
        return error_set(error, URN_DAMAGED, 0, "it does not begin as urn writes it");
    if (version != IDENTITY_FORMAT_VERSION)
        return error_set(error, URN_FORMAT, 0,
                         "format %" PRIu64 " was written by another version of urn; this one (%s) "
                         "reads format %u",
                         version, URN_VERSION, IDENTITY_FORMAT_VERSION);
    struct wal_geometry found = {0};
    if (!take_geometry(&left, &found))
        return error_set(error, URN_DAMAGED, 0, "its lines are not those that urn writes");
    const char *fault = geometry_fault(&found);
    if (fault != NULL)
        return error_set(error, URN_DAMAGED, 0, "%s", fault);
    *geometry = found;
    return URN_OK;
}
