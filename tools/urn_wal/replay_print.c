/* replay_print.c: a state as tables and as JSON. See replay_print.h. */
#include "tools/urn_wal/replay_print.h"

#include <inttypes.h>

#include "tools/urn_wal/snapshot_lines.h"
#include "tools/urn_wal/time_text.h"

/* ---- the head ------------------------------------------------------------------------------------- */

void replay_print_head(const struct replay *replay, FILE *out)
{
    const struct state *state = &replay->state;
    const struct wal_group_header *within = &replay->within;
    char time[TIME_TEXT_BYTES];
    time_text(state->wall_time_us, time);
    if (replay->inside)
        (void)fprintf(out,
                      "state right behind draw %" PRIu64
                      ", in the midst of the group at LSN %" PRIu64 " (draws %" PRIu64
                      " to %" PRIu64 ")",
                      state->next_request_id - 1, within->lsn, within->first_request_id,
                      within->first_request_id + within->draws - 1);
    else
        (void)fprintf(out, "state at LSN %" PRIu64, state->tail.lsn);
    (void)fprintf(out, ", %s: next request id %" PRIu64 ", epoch %" PRIu32 "\n", time,
                  state->next_request_id, replay->inside ? within->epoch : state->tail.epoch);
    (void)fprintf(out, "built from %s (LSN %" PRIu64 "): %" PRIu64 " group%s, %" PRIu64 " draw%s\n",
                  replay->from_name, replay->from_lsn, replay->groups,
                  replay->groups == 1 ? "" : "s", replay->draws, replay->draws == 1 ? "" : "s");
}

/* ---- tables --------------------------------------------------------------------------------------- */

static bool is_wanted(const struct urn_pool *pool, const char *wanted)
{
    const struct urn_text name = pool_name(pool);
    return wanted == NULL ||
           (strlen(wanted) == name.length && memcmp(wanted, name.bytes, name.length) == 0);
}

/* How wide a name is on a terminal, in characters. */
static int width_of(struct urn_text name)
{
    int width = 0;
    for (uint32_t i = 0; i < name.length; i++)
        width += ((uint8_t)name.bytes[i] & 0xc0) != 0x80;
    return width;
}

static int digits_of(uint64_t number)
{
    char digits[20];
    return (int)(put_decimal(digits, number) - digits);
}

static void widen(int *width, int wanted)
{
    if (wanted > *width)
        *width = wanted;
}

/* Of a pool's table, which may be long: so nothing is kept but how wide its columns are. */
struct widths {
    int index, item, left, drawn, weight;
};

static struct widths measure(const struct urn_pool *pool)
{
    const uint32_t items = pool_item_count(pool);
    struct widths widths = {5, 4, 4, 5, 6};
    widen(&widths.index, digits_of(items > 0 ? items - 1 : 0));
    for (uint32_t index = 0; index < items; index++) {
        struct urn_item item;
        pool_item(pool, index, &item);
        widen(&widths.item, width_of(pool_item_id(pool, index)));
        widen(&widths.left,
              item.quantity == URN_UNLIMITED ? 9 : digits_of((uint64_t)item.quantity));
        widen(&widths.drawn, digits_of(item.drawn));
        widen(&widths.weight, digits_of(item.probability));
    }
    return widths;
}

static void print_item(const struct urn_pool *pool, uint32_t index, const struct widths *widths,
                       FILE *out)
{
    const struct urn_text name = pool_item_id(pool, index);
    const uint64_t sum = pool_weight_in_stock(pool);
    struct urn_item item;
    char left[24] = "unlimited";
    pool_item(pool, index, &item);
    if (item.quantity != URN_UNLIMITED)
        (void)snprintf(left, sizeof left, "%" PRId64, item.quantity);
    const double chance =
        item.quantity == 0 || sum == 0 ? 0 : 100 * (double)item.probability / (double)sum;
    (void)fprintf(out, "%*" PRIu32 "  %.*s%*s  %*s  %*" PRIu64 "  %*" PRIu64 "  %8.4f%%\n",
                  widths->index, index, (int)name.length, name.bytes, widths->item - width_of(name),
                  "", widths->left, left, widths->drawn, item.drawn, widths->weight,
                  item.probability, chance);
}

static void print_pool(const struct urn_pool *pool, FILE *out)
{
    const struct urn_text name = pool_name(pool);
    const uint32_t items = pool_item_count(pool);
    const struct widths widths = measure(pool);
    (void)fprintf(out, "\npool %.*s: %s, %" PRIu32 " item%s, odds version %" PRIu64 "\n",
                  (int)name.length, name.bytes, pool_phase_text(pool), items, items == 1 ? "" : "s",
                  pool_odds_version(pool));
    if (items == 0)
        return;
    (void)fprintf(out, "%*s  %-*s  %*s  %*s  %*s  %9s\n", widths.index, "INDEX", widths.item,
                  "ITEM", widths.left, "LEFT", widths.drawn, "DRAWN", widths.weight, "WEIGHT",
                  "CHANCE");
    for (uint32_t index = 0; index < items && ferror(out) == 0; index++)
        print_item(pool, index, &widths, out);
}

void replay_print_pools(const struct state *state, const char *pool, FILE *out)
{
    for (uint32_t id = 0; id < state->pool_count; id++)
        if (is_wanted(state->pools[id], pool))
            print_pool(state->pools[id], out);
}

/* ---- json ----------------------------------------------------------------------------------------- */

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

void replay_print_json(const struct replay *replay, const char *pool, struct output *output)
{
    const struct wal_group_header *within = &replay->within;
    output_text(output, "{\"from\":");
    output_json_name(output,
                     (struct urn_text){replay->from_name, (uint32_t)strlen(replay->from_name)});
    put_field(output, ",\"from_lsn\":", replay->from_lsn);
    put_field(output, ",\"groups\":", replay->groups);
    put_field(output, ",\"draws\":", replay->draws);
    if (replay->inside) {
        put_field(output, ",\"inside_group\":{\"lsn\":", within->lsn);
        put_field(output, ",\"group_length\":", within->length_bytes);
        put_field(output, ",\"first_request_id\":", within->first_request_id);
        put_field(output, ",\"draws\":", within->draws);
        output_text(output, "},");
    } else {
        output_text(output, ",\"inside_group\":null,");
    }
    const struct wal_geometry geometry =
        history_geometry_at(replay->history, replay->state.tail.lsn);
    snapshot_json_rest(output, &replay->state, &geometry, pool);
}
