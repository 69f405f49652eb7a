/* snapshot_lines.c: see snapshot_lines.h. */
#include "tools/urn_wal/snapshot_lines.h"

#include <string.h>

#include "engine/identity.h"
#include "tools/urn_wal/time_text.h"

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void put_quantity(struct output *output, int64_t quantity)
{
    if (quantity == URN_UNLIMITED)
        output_text(output, "-1");
    else
        output_number(output, (uint64_t)quantity);
}

const char *pool_phase_text(const struct urn_pool *pool)
{
    return pool_is_unfinished(pool) ? "unfinished" : pool_is_open(pool) ? "open" : "closed";
}

/* ---- text ---------------------------------------------------------------------------------------- */

static void text_item(struct output *output, const struct urn_pool *pool, uint32_t index)
{
    struct urn_item item;
    pool_item(pool, index, &item);
    output_text(output, "ITEM ");
    output_name(output, pool_name(pool));
    output_text(output, " ");
    output_name(output, pool_item_id(pool, index));
    output_text(output, " quantity=");
    put_quantity(output, item.quantity);
    put_field(output, " probability=", item.probability);
    put_field(output, " drawn=", item.drawn);
    if (pool_applied_weight(pool, index) != item.probability)
        put_field(output, " applied=", pool_applied_weight(pool, index));
    output_line_end(output);
}

void snapshot_text(struct output *output, const struct state *state)
{
    char time[TIME_TEXT_BYTES];
    time_text(state->wall_time_us, time);
    put_field(output, "SNAPSHOT ", state->tail.lsn);
    put_field(output, " epoch=", state->tail.epoch);
    put_field(output, " next_request_id=", state->next_request_id);
    put_field(output, " pools=", state->pool_count);
    put_field(output, " items=", state->item_count);
    output_text(output, " time=");
    output_text(output, time);
    output_line_end(output);
    for (uint32_t id = 0; id < state->pool_count; id++) {
        const struct urn_pool *pool = state->pools[id];
        const uint32_t items = pool_item_count(pool);
        output_text(output, "POOL ");
        output_name(output, pool_name(pool));
        output_text(output, " ");
        output_text(output, pool_phase_text(pool));
        put_field(output, " odds_version=", pool_odds_version(pool));
        put_field(output, " items=", items);
        output_line_end(output);
        for (uint32_t index = 0; index < items && !output_failed(output); index++)
            text_item(output, pool, index);
    }
}

/* ---- json ---------------------------------------------------------------------------------------- */

static void json_item(struct output *output, const struct urn_pool *pool, uint32_t index)
{
    struct urn_item item;
    pool_item(pool, index, &item);
    output_text(output, index == 0 ? "\n  {\"item_id\":" : ",\n  {\"item_id\":");
    output_json_name(output, pool_item_id(pool, index));
    put_field(output, ",\"index\":", index);
    output_text(output, ",\"quantity\":");
    put_quantity(output, item.quantity);
    put_field(output, ",\"probability\":", item.probability);
    put_field(output, ",\"drawn\":", item.drawn);
    if (pool_applied_weight(pool, index) != item.probability)
        put_field(output, ",\"applied_probability\":", pool_applied_weight(pool, index));
    output_text(output, "}");
}

static void json_pool(struct output *output, const struct urn_pool *pool, uint32_t id, bool first)
{
    const uint32_t items = pool_item_count(pool);
    output_text(output, first ? "\n {\"pool\":" : ",\n {\"pool\":");
    output_json_name(output, pool_name(pool));
    put_field(output, ",\"number\":", id);
    output_text(output, ",\"open\":");
    output_text(output, pool_is_open(pool) ? "true" : "false");
    if (pool_is_unfinished(pool))
        output_text(output, ",\"unfinished\":true");
    put_field(output, ",\"odds_version\":", pool_odds_version(pool));
    output_text(output, ",\"items\":[");
    for (uint32_t index = 0; index < items && !output_failed(output); index++)
        json_item(output, pool, index);
    output_text(output, "]}");
}

static bool is_wanted(const struct urn_pool *pool, const char *wanted)
{
    const struct urn_text name = pool_name(pool);
    return wanted == NULL ||
           (strlen(wanted) == name.length && memcmp(wanted, name.bytes, name.length) == 0);
}

void snapshot_json_rest(struct output *output, const struct state *state,
                        const struct wal_geometry *geometry, const char *pool)
{
    char ring[UUID_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    bool first = true;
    uuid_text(geometry->ring_uuid, ring);
    time_text(state->wall_time_us, time);
    output_text(output, "\"ring\":\"");
    output_text(output, ring);
    put_field(output, "\",\"segment_size\":", geometry->segment_size_bytes);
    put_field(output, ",\"segments\":", geometry->segments);
    put_field(output, ",\"lsn\":", state->tail.lsn);
    put_field(output, ",\"epoch\":", state->tail.epoch);
    output_text(output, ",\"chain\":\"");
    output_hex(output, state->tail.chain, WAL_CHAIN_BYTES);
    put_field(output, "\",\"next_request_id\":", state->next_request_id);
    put_field(output, ",\"reserved_request_id\":", state->reserved_request_id);
    put_field(output, ",\"engine_time_us\":", state->engine_time_us);
    output_text(output, ",\"time\":\"");
    output_text(output, time);
    output_text(output, "\",\"pools\":[");
    for (uint32_t id = 0; id < state->pool_count; id++) {
        if (!is_wanted(state->pools[id], pool))
            continue;
        json_pool(output, state->pools[id], id, first);
        first = false;
    }
    output_text(output, "]}");
    output_line_end(output);
}

void snapshot_json(struct output *output, const struct state *state,
                   const struct wal_geometry *geometry, const char *file)
{
    output_text(output, "{\"file\":");
    output_json_name(output, (struct urn_text){file, (uint32_t)strlen(file)});
    output_text(output, ",");
    snapshot_json_rest(output, state, geometry, NULL);
}

/* ---- csv ------------------------------------------------------------------------------------------ */

void snapshot_csv_begin(struct output *output)
{
    output_text(output, "pool,item_id,index,quantity,probability,drawn,odds_version,lsn");
    output_line_end(output);
}

void snapshot_csv(struct output *output, const struct state *state)
{
    for (uint32_t id = 0; id < state->pool_count; id++) {
        const struct urn_pool *pool = state->pools[id];
        const uint32_t items = pool_item_count(pool);
        for (uint32_t index = 0; index < items && !output_failed(output); index++) {
            struct urn_item item;
            pool_item(pool, index, &item);
            output_csv_name(output, pool_name(pool));
            output_text(output, ",");
            output_csv_name(output, pool_item_id(pool, index));
            put_field(output, ",", index);
            output_text(output, ",");
            put_quantity(output, item.quantity);
            put_field(output, ",", item.probability);
            put_field(output, ",", item.drawn);
            put_field(output, ",", pool_odds_version(pool));
            put_field(output, ",", state->tail.lsn);
            output_line_end(output);
        }
    }
}
