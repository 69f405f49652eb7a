/* fuzz_config.c: any file as a configuration: never a crash, a leak or a configuration beyond bounds.
 *
 * The loader reads files, so each input becomes one that lives in memory only (memfd).
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What config.h promises of a configuration that was taken. */
static void check_loaded(const struct config *config)
{
    struct urn_engine_config engine;
    struct urn_error error;
    config_fill_engine(config, &engine);
    CHECK(urn_engine_config_check(&engine, &error) == URN_OK);
    CHECK(config->data_dir != NULL && config->listen_count > 0);
    CHECK(config->limits.request_buffers_bytes >= config->limits.max_request_bytes);
    CHECK(config->limits.reply_buffers_bytes >= config->limits.max_reply_bytes);
    CHECK(config->pool_count <= config->limits.max_pools);
    for (uint32_t i = 0; i < config->pool_count; i++) {
        uint64_t weights = 0;
        CHECK(config->pools[i].name_bytes == strlen(config->pools[i].name));
        for (uint32_t j = 0; j < config->pools[i].item_count; j++) {
            const struct urn_item_spec *item = &config->pools[i].items[j];
            CHECK(item->item_id_bytes >= 1 && item->item_id_bytes <= URN_NAME_BYTES_MAX);
            CHECK(item->quantity >= URN_UNLIMITED && item->quantity <= (int64_t)URN_NUMBER_MAX);
            weights += item->probability;
        }
        CHECK(weights >= 1 && weights <= URN_NUMBER_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int memory = memfd_create("config", MFD_CLOEXEC);
    CHECK(memory >= 0);
    CHECK(write(memory, data, size) == (ssize_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);

    struct config config;
    struct urn_error error = {.code = URN_OK};
    enum urn_code code = config_load(path, &config, &error);
    if (code == URN_OK)
        check_loaded(&config);
    else
        CHECK(error.code == code && strncmp(error.text, path, strlen(path)) == 0);
    config_free(&config);
    close(memory);
    return 0;
}
