/* server_view.c: see server_view.h. */
#include "tools/urn_bench/server_view.h"

#include <stdio.h>
#include <string.h>

static void copy_text(const struct urnclient_value *map, const char *key, char *to, size_t to_bytes)
{
    const struct urnclient_value *value = urnclient_find(map, key);
    bool is_text = value != NULL && value->type == URNCLIENT_TEXT;
    snprintf(to, to_bytes, "%s", is_text ? value->text.bytes : "");
}

static uint64_t find_number(const struct urnclient_value *map, const char *key)
{
    const struct urnclient_value *value = urnclient_find(map, key);
    return value != NULL && value->type == URNCLIENT_UINT ? value->number : 0;
}

void server_view_take(struct urnclient *client, struct server_view *view)
{
    struct urnclient_info info;
    struct urnclient_error error;
    *view = (struct server_view){0};
    if (urnclient_info(client, &info, &error) != URNCLIENT_OK)
        return;
    view->known = true;
    copy_text(&info.value, "version", view->version, sizeof view->version);
    copy_text(&info.value, "mode", view->mode, sizeof view->mode);
    const struct urnclient_value *counters = urnclient_find(&info.value, "counters");
    if (counters != NULL) {
        view->draws = find_number(counters, "draws");
        view->failed_draws = find_number(counters, "failed_draws");
        view->log_bytes = find_number(counters, "log_bytes");
        view->syncs = find_number(counters, "syncs");
        view->snapshots = find_number(counters, "snapshots");
    }
    urnclient_info_free(&info);
}

bool server_view_find_pool(struct urnclient *client, const char *pool,
                           struct urnclient_error *error)
{
    struct urnclient_names names;
    enum urnclient_status status = urnclient_catalog(client, pool, 0, 1, &names, error);
    if (status == URNCLIENT_OK)
        urnclient_names_free(&names);
    return status == URNCLIENT_OK ||
           (status == URNCLIENT_REFUSED && strcmp(error->code, "NOPOOL") != 0);
}
