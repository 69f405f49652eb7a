/* Listening, accepting, stopping; the command line: server/listen.h, loop.h, options.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/listen.h"
#include "server/listen_address.h"
#include "server/options.h"
#include "tests/lib/server_harness.h"

static struct harness harness;
static struct client client;
static char folder[] = "/tmp/urn-loop-XXXXXX";
static char path[sizeof folder + 16];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/urn.sock", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void listen_on_unix(struct config_listen *where)
{
    static char text[sizeof path + 8];
    snprintf(text, sizeof text, "unix:%s", path);
    *where = (struct config_listen){.text = text, .unix_path = path};
    assert_int_equal(listen_address_parse_unix(path, &where->address, &where->address_bytes),
                     LISTEN_ADDRESS_OK);
}

static int set_up(void **state)
{
    (void)state;
    struct urn_error error;
    harness_init(&harness);
    listen_on_unix(&harness.listen);
    harness.config.listen = &harness.listen;
    harness.config.listen_count = 1;
    harness.config.limits.max_connections = 2;
    harness_start(&harness);
    assert_int_equal(loop_listen(harness.server, &error), URN_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    harness_end(&harness);
    return 0;
}

/* ---- listening --------------------------------------------------------------------------------
 */

static void a_unix_socket_is_for_its_owner_and_group(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0660);
}

static void a_unix_socket_that_somebody_answers_on_is_left_alone(void **state)
{
    (void)state;
    struct listener second;
    struct urn_error error;
    assert_int_equal(listen_open(&harness.listen, &second, &error), URN_IO);
    assert_non_null(strstr(error.text, "another process answers there"));
    assert_non_null(strstr(error.text, path));
    client_connect(&harness, &client); /* the first one still listens there */
    client_close(&client);
}

static void a_unix_socket_that_nobody_answers_on_is_replaced(void **state)
{
    (void)state;
    struct config_listen where;
    struct listener listener;
    struct urn_error error;
    listen_on_unix(&where);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&where.address, where.address_bytes), 0);
    close(stale); /* its file stays, as after a kill */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(listen_open(&where, &listener, &error), URN_OK);
    listen_close(&listener);
    assert_int_not_equal(access(path, F_OK), 0);
    listen_close(&listener);
}

static void a_file_that_is_no_socket_is_not_removed(void **state)
{
    (void)state;
    struct config_listen where;
    struct listener listener;
    struct urn_error error;
    listen_on_unix(&where);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(listen_open(&where, &listener, &error), URN_CONFIG);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

/* Another server may have replaced the file meanwhile: then it is not ours to remove. */
static void only_the_own_socket_is_removed(void **state)
{
    (void)state;
    struct config_listen where;
    struct listener first, second;
    struct urn_error error;
    listen_on_unix(&where);
    assert_int_equal(listen_open(&where, &first, &error), URN_OK);
    unlink(path);
    assert_int_equal(listen_open(&where, &second, &error), URN_OK);
    listen_close(&first);
    assert_int_equal(access(path, F_OK), 0);
    listen_close(&second);
}

static void tcp_says_which_port_the_system_chose(void **state)
{
    (void)state;
    static char text[] = "127.0.0.1:0";
    struct config_listen where = {.text = text};
    struct listener first, second;
    struct urn_error error;
    assert_int_equal(listen_address_parse_tcp(text, &where.address, &where.address_bytes),
                     LISTEN_ADDRESS_OK);
    assert_int_equal(listen_open(&where, &first, &error), URN_OK);
    assert_string_not_equal(first.text, "127.0.0.1:0");
    assert_int_equal(strncmp(first.text, "127.0.0.1:", 10), 0);

    struct config_listen taken = {.text = first.text};
    assert_int_equal(listen_address_parse_tcp(first.text, &taken.address, &taken.address_bytes),
                     LISTEN_ADDRESS_OK);
    assert_int_equal(listen_open(&taken, &second, &error), URN_IO);
    assert_non_null(strstr(error.text, "another process has the address"));
    listen_close(&first);
}

static void other_machines_cannot_be_let_in(void **state)
{
    (void)state;
    struct config_listen where = {.text = (char[]){"0.0.0.0:7707"},
                                  .address_bytes = sizeof(struct sockaddr_storage)};
    struct listener listener;
    struct urn_error error;
    where.address.ss_family = AF_INET; /* the rest is zero: every address of the machine */
    assert_int_equal(listen_open(&where, &listener, &error), URN_CONFIG);
    assert_non_null(strstr(error.text, "access tokens"));
    where.address.ss_family = AF_INET6;
    assert_int_equal(listen_open(&where, &listener, &error), URN_CONFIG);
}

/* ---- accepting and stopping --------------------------------------------------------------------
 */

static void one_connection_too_many_is_closed_at_once(void **state)
{
    (void)state;
    struct client others[2];
    client_connect(&harness, &client);
    client_connect(&harness, &others[0]);
    client_connect(&harness, &others[1]);
    assert_true(client_is_closed(&harness, &others[1]));
    client_close(&others[1]);
    assert_int_equal(harness.server->counters.connections_refused, 1);
    assert_int_equal(harness.server->counters.connections_accepted, 2);
    client_close(&others[0]); /* its place is free again */
    harness_turn(&harness);
    client_connect(&harness, &others[1]);
    client_call(&others[1], 3, "ping", 0, BYTES(""));
    assert_string_equal(client_must_reply(&harness, &others[1]), "[1, 3, nil, \"pong\"]");
    client_close(&others[1]);
    client_close(&client);
}

static void a_stop_answers_what_is_under_way_and_nothing_else(void **state)
{
    (void)state;
    struct client late;
    client_connect(&harness, &client);
    client_connect(&harness, &late);
    fake_engine_hold(harness.engine);
    client_draw(&client, 1, 2);
    harness_turn(&harness);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    client_draw(&late, 2, 2); /* not read before the stop */
    loop_stop_taking(harness.server);
    harness_turn(&harness);
    assert_string_equal(client_reply(&client),
                        "[1, 1, nil, [1, [\"pear\", \"nut\"], 0, 1, false]]");
    assert_true(client_is_closed(&harness, &client));
    assert_true(client_is_closed(&harness, &late));
    assert_int_not_equal(access(path, F_OK), 0); /* nobody listens any more */
    client_close(&client); /* this one has heard; the other one never closes its side */
    harness_turn(&harness);
    assert_int_equal(harness.server->connections.lent, 1);
    harness_wait(&harness, 2);
    assert_int_equal(harness.server->connections.lent, 0);
    client_close(&late);
}

/* Replies that the client has not read yet survive the stop, whatever else the client has sent. */
static void a_stop_does_not_reset_connections(void **state)
{
    (void)state;
    static char text[] = "127.0.0.1:0";
    struct urn_error error;
    struct sockaddr_storage *address = &harness.listen.address;
    loop_stop_taking(harness.server);
    harness.listen = (struct config_listen){.text = text};
    assert_int_equal(listen_address_parse_tcp(text, address, &harness.listen.address_bytes),
                     LISTEN_ADDRESS_OK);
    assert_int_equal(loop_listen(harness.server, &error), URN_OK);
    getsockname(harness.server->listeners[0].source.fd, (struct sockaddr *)address,
                &harness.listen.address_bytes);
    client_connect(&harness, &client);
    client_draw(&client, 1, 1);
    harness_turn(&harness);
    client_draw(&client, 2, 1);
    loop_stop_taking(harness.server);
    client_draw(&client, 3, 1);
    assert_string_equal(client_must_reply(&harness, &client),
                        "[1, 1, nil, [1, [\"pear\"], 0, 1, false]]");
    char byte;
    assert_int_equal(recv(client.fd, &byte, 1, MSG_DONTWAIT), 0); /* the end, and no ECONNRESET */
    client_close(&client);
}

/* The reply buffers are the largest part, and all parts are in the sum. */
static void the_memory_bound_is_the_sum_of_what_is_set_aside(void **state)
{
    (void)state;
    const struct config *config = &harness.config;
    uint64_t parts = config->limits.reply_buffers_bytes + config->limits.request_buffers_bytes +
                     (uint64_t)config->limits.max_connections * CONNECTION_BYTES +
                     config_memory_bytes(config->limits.max_pools, config->limits.max_items);
    uint64_t bound = server_memory_bound_bytes(config);
    assert_true(bound >= parts);
    assert_true(bound < parts + (8u << 20)); /* and what the process takes by itself */
}

/* ---- the command line ---------------------------------------------------------------------------
 */

static enum urn_code read_words(const char *words, struct options *options, struct urn_error *error)
{
    static char copy[256];
    char *argv[16] = {(char[]){"urnd"}};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return options_read(argc, argv, options, error);
}

static void options_are_read(void **state)
{
    (void)state;
    struct options options;
    struct urn_error error;
    assert_int_equal(read_words("--config a.yaml --create", &options, &error), URN_OK);
    assert_string_equal(options.config, "a.yaml");
    assert_true(options.create);
    assert_int_equal(read_words("--check-config --config=b", &options, &error), URN_OK);
    assert_string_equal(options.config, "b");
    assert_true(options.check_config);
    assert_int_equal(read_words("--help", &options, &error), URN_OK);
    assert_true(options.help);
    assert_int_equal(read_words("--version", &options, &error), URN_OK);
    assert_true(options.version);
}

static void wrong_options_say_what_was_perhaps_meant(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "--config FILE is missing"},
        {"--confg a", "did you mean --config?"},
        {"--config", "needs the name of a file"},
        {"--config=", "needs the name of a file"},
        {"--create=yes --config a", "--create takes no value"},
        {"--frobnicate", "no option --frobnicate"},
        {"a.yaml", "what is a.yaml?"},
        {"--config a --create --check-config", "exclude each other"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        struct urn_error error;
        assert_int_equal(read_words(cases[i][0], &options, &error), URN_USAGE);
        if (strstr(error.text, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], error.text);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_unix_socket_is_for_its_owner_and_group),
        TEST(a_unix_socket_that_somebody_answers_on_is_left_alone),
        cmocka_unit_test(a_unix_socket_that_nobody_answers_on_is_replaced),
        cmocka_unit_test(a_file_that_is_no_socket_is_not_removed),
        cmocka_unit_test(only_the_own_socket_is_removed),
        cmocka_unit_test(tcp_says_which_port_the_system_chose),
        cmocka_unit_test(other_machines_cannot_be_let_in),
        TEST(one_connection_too_many_is_closed_at_once),
        TEST(a_stop_answers_what_is_under_way_and_nothing_else),
        TEST(a_stop_does_not_reset_connections),
        TEST(the_memory_bound_is_the_sum_of_what_is_set_aside),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_say_what_was_perhaps_meant),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
