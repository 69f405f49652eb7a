/* identity.c: see identity.h. */
#include "engine/identity.h"

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
