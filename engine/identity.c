/* identity.c: see identity.h. */
#include "engine/identity.h"

#include <string.h>

#include "engine/check.h"

#define FIRST_LINE "urn data directory"

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

size_t identity_format(const struct wal_geometry *geometry, char text[IDENTITY_BYTES_MAX])
{
    CHECK(geometry_fault(geometry) == NULL);
    struct facts_writer writer;
    facts_begin(&writer, text, IDENTITY_BYTES_MAX, FIRST_LINE, IDENTITY_FORMAT_VERSION);
    facts_add_uuid(&writer, "ring", geometry->ring_uuid);
    facts_add_number(&writer, "segment_size", geometry->segment_size_bytes);
    facts_add_number(&writer, "segments", geometry->segments);
    return facts_end(&writer);
}

static bool take_geometry(struct facts_reader *reader, struct wal_geometry *geometry)
{
    uint64_t segments = 0;
    bool taken =
        facts_take_uuid(reader, "ring", geometry->ring_uuid) &&
        facts_take_number(reader, "segment_size", UINT64_MAX, &geometry->segment_size_bytes) &&
        facts_take_number(reader, "segments", UINT32_MAX, &segments) && facts_at_end(reader);
    geometry->segments = (uint32_t)segments;
    return taken;
}

enum urn_code identity_parse(const char *text, size_t length, struct wal_geometry *geometry,
                             struct urn_error *error)
{
    struct facts_reader reader;
    if (length > IDENTITY_BYTES_MAX)
        return error_set(error, URN_DAMAGED, 0, "its checksum does not match");
    if (facts_open(&reader, text, length, FIRST_LINE, IDENTITY_FORMAT_VERSION, error) != URN_OK)
        return error->code;
    struct wal_geometry found = {0};
    if (!take_geometry(&reader, &found))
        return error_set(error, URN_DAMAGED, 0, "its lines are not those that urn writes");
    const char *fault = geometry_fault(&found);
    if (fault != NULL)
        return error_set(error, URN_DAMAGED, 0, "%s", fault);
    *geometry = found;
    return URN_OK;
}

/* ---- while it is resized ----------------------------------------------------------------------- */

size_t identity_format_resizing(const struct identity_resizing *resizing,
                                char text[IDENTITY_BYTES_MAX])
{
    CHECK(geometry_fault(&resizing->from) == NULL && geometry_fault(&resizing->to) == NULL);
    struct facts_writer writer;
    facts_begin(&writer, text, IDENTITY_BYTES_MAX, FIRST_LINE, IDENTITY_FORMAT_RESIZING);
    facts_add_uuid(&writer, "ring", resizing->from.ring_uuid);
    facts_add_number(&writer, "segment_size", resizing->from.segment_size_bytes);
    facts_add_number(&writer, "segments", resizing->from.segments);
    facts_add_number(&writer, "new_segment_size", resizing->to.segment_size_bytes);
    facts_add_number(&writer, "new_segments", resizing->to.segments);
    facts_add_number(&writer, "new_begin_lsn", resizing->begin_lsn);
    return facts_end(&writer);
}

static bool take_resizing(struct facts_reader *reader, struct identity_resizing *resizing)
{
    uint64_t segments = 0;
    uint64_t new_segments = 0;
    struct wal_geometry *from = &resizing->from;
    struct wal_geometry *to = &resizing->to;
    bool taken =
        facts_take_uuid(reader, "ring", from->ring_uuid) &&
        facts_take_number(reader, "segment_size", UINT64_MAX, &from->segment_size_bytes) &&
        facts_take_number(reader, "segments", UINT32_MAX, &segments) &&
        facts_take_number(reader, "new_segment_size", UINT64_MAX, &to->segment_size_bytes) &&
        facts_take_number(reader, "new_segments", UINT32_MAX, &new_segments) &&
        facts_take_number(reader, "new_begin_lsn", URN_NUMBER_MAX, &resizing->begin_lsn) &&
        facts_at_end(reader);
    from->segments = (uint32_t)segments;
    to->segments = (uint32_t)new_segments;
    memcpy(to->ring_uuid, from->ring_uuid, WAL_UUID_BYTES);
    return taken;
}

enum urn_code identity_parse_resizing(const char *text, size_t length,
                                      struct identity_resizing *resizing, struct urn_error *error)
{
    struct facts_reader reader;
    if (length > IDENTITY_BYTES_MAX)
        return error_set(error, URN_DAMAGED, 0, "its checksum does not match");
    if (facts_open(&reader, text, length, FIRST_LINE, IDENTITY_FORMAT_RESIZING, error) != URN_OK)
        return error->code;
    struct identity_resizing found = {.begin_lsn = 0};
    if (!take_resizing(&reader, &found))
        return error_set(error, URN_DAMAGED, 0, "its lines are not those that urn writes");
    const char *fault = geometry_fault(&found.from);
    if (fault == NULL)
        fault = geometry_fault(&found.to);
    if (fault == NULL && found.begin_lsn % found.to.segment_size_bytes != 0)
        fault = "the log would not go on with a segment";
    if (fault != NULL)
        return error_set(error, URN_DAMAGED, 0, "%s", fault);
    *resizing = found;
    return URN_OK;
}
