/* test_urn.c: the command-line client: its command line, its output, its JSON, its exit statuses.
 *
 * Commands run against a peer with prepared answers; what they print is compared whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>

#include "tests/lib/peer.h"
#include "tools/common/json.h"
#include "tools/common/words.h"
#include "tools/urn/commands.h"
#include "tools/urn/info_view.h"

/* ---- the command line -------------------------------------------------------------------- */

#define WORDS_MAX  16
#define LINE_BYTES 200

/* Reads a command line, given as one string with single blanks; returns what it says to err. */
static char *read_line(const char *line, bool *taken, struct arguments *arguments, char *copy)
{
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    char *rest;
    snprintf(copy, LINE_BYTES, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    char *said = NULL;
    size_t length;
    FILE *err = open_memstream(&said, &length);
    *taken = arguments_read(argc, argv, "default:1", arguments, err);
    fclose(err);
    return said;
}

static void options_may_stand_anywhere(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "urn --json --address h:7 --timeout 2s draw main 10 --as tally --all",
        "urn draw --as=tally main --all 10 --address=h:7 --json --timeout=2000ms",
        "urn --json --all --as tally --timeout 2 --address h:7 -- draw main 10",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct arguments arguments;
        char copy[LINE_BYTES];
        bool taken;
        char *said = read_line(lines[i], &taken, &arguments, copy);
        assert_string_equal(said, "");
        assert_true(taken);
        assert_int_equal(arguments.command, COMMAND_DRAW);
        assert_string_equal(arguments.address, "h:7");
        assert_string_equal(arguments.pool, "main");
        assert_int_equal(arguments.count, 10);
        assert_int_equal(arguments.as, URNCLIENT_TALLY);
        assert_int_equal(arguments.timeout_ms, 2000);
        assert_true(arguments.json && arguments.all);
        assert_false(arguments.help);
        free(said);
    }
}

static void what_is_left_out_has_defaults(void **state)
{
    (void)state;
    struct arguments arguments;
    char copy[LINE_BYTES];
    bool taken;
    free(read_line("urn draw -- -pool-", &taken, &arguments, copy));
    assert_true(taken);
    assert_string_equal(arguments.pool, "-pool-");
    assert_int_equal(arguments.count, 1);
    assert_int_equal(arguments.as, URNCLIENT_NAMES);
    assert_string_equal(arguments.address, "default:1");
    free(read_line("urn state main", &taken, &arguments, copy));
    assert_int_equal(arguments.offset, 0);
    assert_int_equal(arguments.limit, UINT32_MAX);
    free(read_line("urn state main --offset 5 --limit 0", &taken, &arguments, copy));
    assert_int_equal(arguments.offset, 5);
    assert_int_equal(arguments.limit, 0);
}

static void help_is_asked_for_in_many_ways(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum command about;
    } cases[] = {
        {"urn --help", COMMAND_COUNT},     {"urn -h", COMMAND_COUNT},
        {"urn help", COMMAND_COUNT},       {"urn help draw", COMMAND_DRAW},
        {"urn draw --help", COMMAND_DRAW}, {"urn -h state main", COMMAND_STATE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arguments arguments;
        char copy[LINE_BYTES];
        bool taken;
        free(read_line(cases[i].line, &taken, &arguments, copy));
        assert_true(taken && arguments.help);
        assert_int_equal(arguments.about, cases[i].about);
    }
    for (int about = 0; about <= COMMAND_COUNT; about++) {
        char *text;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        help_print((enum command)about, out);
        fclose(out);
        assert_non_null(strstr(text, "Examples\n  urn "));
        assert_non_null(strstr(text, "--address"));
        free(text);
    }
}

static void a_wrong_command_line_says_what_was_perhaps_meant(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"urn", "urn: a command is missing\n     urn --help lists the commands\n"},
        {"urn drwa main", "urn: there is no command \"drwa\"\n     did you mean draw?\n"},
        {"urn catlog main", "urn: there is no command \"catlog\"\n     did you mean catalog?\n"},
        {"urn nonsense",
         "urn: there is no command \"nonsense\"\n     urn --help lists the commands\n"},
        {"urn help stat", "urn: there is no command \"stat\"\n     did you mean state?\n"},
        {"urn --jsn pools", "urn: there is no option \"--jsn\"\n     did you mean --json?\n"},
        {"urn -x pools", "urn: there is no option \"-x\"\n     urn --help lists the options\n"},
        {"urn --json=1 pools", "urn: --json takes no value\n     urn --help lists the options\n"},
        {"urn --json pools --json",
         "urn: --json is given twice\n     urn --help lists the options\n"},
        {"urn ping --address",
         "urn: --address needs host:port or unix:PATH\n     urn --help lists the options\n"},
        {"urn pools --as names",
         "urn: pools takes no --as\n     usage: urn pools    (urn pools --help says more)\n"},
        {"urn state",
         "urn: the pool's name is missing\n     usage: urn state POOL [--offset N] [--limit N]    "
         "(urn state --help says more)\n"},
        {"urn lookup", "urn: the request id is missing\n"
                       "     usage: urn lookup ID    (urn lookup --help says more)\n"},
        {"urn lookup 0", "urn: ID needs a number from 1 to 9007199254740991, not \"0\"\n"
                         "     urn lookup --help says more\n"},
        {"urn lookup main", "urn: ID needs a number from 1 to 9007199254740991, not \"main\"\n"
                            "     urn lookup --help says more\n"},
        {"urn lookp 3", "urn: there is no command \"lookp\"\n     did you mean lookup?\n"},
        {"urn pools main",
         "urn: too many arguments\n     usage: urn pools    (urn pools --help says more)\n"},
        {"urn draw main 1 2 3",
         "urn: too many arguments\n     usage: urn draw POOL [COUNT] [--as names|indexes|tally] "
         "[--all]    (urn draw --help says more)\n"},
        {"urn draw main 0", "urn: COUNT needs a number from 1 to 4294967295, not \"0\"\n     urn "
                            "draw --help says more\n"},
        {"urn draw main -5", "urn: COUNT needs a number from 1 to 4294967295, not \"-5\"\n     urn "
                             "draw --help says more\n"},
        {"urn draw main 5x", "urn: COUNT needs a number from 1 to 4294967295, not \"5x\"\n     urn "
                             "draw --help says more\n"},
        {"urn draw main 4294967296",
         "urn: COUNT needs a number from 1 to 4294967295, not \"4294967296\"\n     urn draw --help "
         "says more\n"},
        {"urn draw main --as name",
         "urn: --as needs names, indexes or tally, not \"name\"\n     urn draw --help says more\n"},
        {"urn info --format yaml",
         "urn: --format needs text, json or prometheus, not \"yaml\"\n     urn info --help says "
         "more\n"},
        {"urn info --json --format prometheus", "urn: --json and --format prometheus exclude each "
                                                "other\n     urn info --help says more\n"},
        {"urn state main --limit x",
         "urn: --limit needs a number from 0 to 4294967295, not \"x\"\n     urn --help says "
         "more\n"},
        {"urn --timeout 0 ping",
         "urn: --timeout needs a duration like 5s or 250ms, not \"0\"\n     urn --help says "
         "more\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arguments arguments;
        char copy[LINE_BYTES];
        bool taken;
        char *said = read_line(cases[i].line, &taken, &arguments, copy);
        assert_false(taken);
        assert_string_equal(said, cases[i].said);
        free(said);
    }
}

static void durations_have_units_and_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t milliseconds; /* 0: refused */
    } cases[] = {
        {"1ms", 1},        {"5", 5000}, {"5s", 5000}, {"2m", 120000},
        {"24h", 86400000}, {"25h", 0},  {"0s", 0},    {"", 0},
        {"s", 0},          {"-1s", 0},  {"1.5s", 0},  {"1d", 0},
        {"86400001ms", 0}, {" 1s", 0},  {"1 s", 0},   {"99999999999999999999s", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t milliseconds = 0;
        assert_int_equal(duration_read(cases[i].text, &milliseconds), cases[i].milliseconds != 0);
        assert_int_equal(milliseconds, cases[i].milliseconds);
    }
}

/* ---- rendering --------------------------------------------------------------------------- */

static void bars_never_lie_at_their_ends(void **state)
{
    (void)state;
    static const struct {
        double share;
        const char *ascii, *utf8, *percent;
    } cases[] = {
        {0, "....................", "                    ", "0.00%"},
        {1e-9, "#...................", "▏                   ", "<0.01%"},
        {0.5, "##########..........", "██████████          ", "50.00%"},
        {0.51, "##########..........", "██████████▎         ", "51.00%"},
        {0.999999, "###################.", "███████████████████▉", ">99.99%"},
        {1, "####################", "████████████████████", "100.00%"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bar[BAR_BYTES], percent[PERCENT_BYTES];
        bar_render(false, cases[i].share, bar);
        assert_string_equal(bar, cases[i].ascii);
        bar_render(true, cases[i].share, bar);
        assert_string_equal(bar, cases[i].utf8);
        assert_string_equal(percent_text(cases[i].share, percent), cases[i].percent);
    }
}

static void names_cannot_steer_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *utf8, *ascii;
        uint32_t columns; /* where UTF-8 is shown */
    } cases[] = {
        {"diamond", "diamond", "diamond", 7},
        {"a\x1b[2J\r\n\x7f", "a\xef\xbf\xbd[2J\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a?[2J???", 8},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr??", 4},
        {"\xe5\xae\x9d\xe7\x9f\xb3", "\xe5\xae\x9d\xe7\x9f\xb3", "??", 4}, /* two wide characters */
        {"e\xcc\x81", "e\xcc\x81", "e?", 1},                               /* a combining accent */
        {"\xc2\x9b"
         "1m",
         "\xef\xbf\xbd"
         "1m",
         "?1m", 3}, /* a C1 control */
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd", "??", 2},
    };
    struct terminal utf8 = {.utf8 = true};
    struct terminal ascii = {.utf8 = false};
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char clean[CLEAN_TEXT_BYTES];
        struct urnclient_text text = {cases[i].bytes, (uint32_t)strlen(cases[i].bytes)};
        assert_int_equal(terminal_clean(&utf8, text, clean), cases[i].columns);
        assert_string_equal(clean, cases[i].utf8);
        assert_int_equal(terminal_clean(&ascii, text, clean), strlen(cases[i].ascii));
        assert_string_equal(clean, cases[i].ascii);
    }
    char long_name[2000], clean[CLEAN_TEXT_BYTES];
    memset(long_name, '\x01', sizeof long_name);
    terminal_clean(&utf8, (struct urnclient_text){long_name, sizeof long_name}, clean);
    assert_true(strlen(clean) < sizeof clean);
}

static void json_is_exact_and_well_formed(void **state)
{
    (void)state;
    struct urnclient_value elements[] = {
        {.type = URNCLIENT_UINT, .number = 9007199254740991u},
        {.type = URNCLIENT_NEGATIVE, .negative = -1},
        {.type = URNCLIENT_DOUBLE, .real = 0.1},
        {.type = URNCLIENT_DOUBLE, .real = 1.0 / 0.0},
        {.type = URNCLIENT_NIL},
        {.type = URNCLIENT_BOOL, .truth = true},
        {.type = URNCLIENT_TEXT, .text = {"\"\\/\n\x7f\xc3\xbc\xff", 8}},
    };
    struct urnclient_pair pairs[] = {
        {{.type = URNCLIENT_TEXT, .text = {"a", 1}},
         {.type = URNCLIENT_ARRAY, .count = 7, .elements = elements}},
        {{.type = URNCLIENT_UINT, .number = 5}, {.type = URNCLIENT_MAP}},
    };
    struct urnclient_value map = {.type = URNCLIENT_MAP, .count = 2, .pairs = pairs};
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    json_value(out, &map);
    fclose(out);
    assert_string_equal(text,
                        "{\"a\": [9007199254740991, -1, 0.10000000000000001, null, null, true, "
                        "\"\\\"\\\\/\\u000a\\u007f\xc3\xbc\\ufffd\"], \"5\": {}}");
    free(text);
}

static void numbers_are_said_as_people_say_them(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t number;
        const char *said;
    } cases[] = {
        {"log_bytes", 1023, ""},
        {"log_bytes", 1536, "1.5 KiB"},
        {"log_bytes", 1ull << 40, "1.0 TiB"},
        {"max_us", 999, ""},
        {"max_us", 1500, "1.50 ms"},
        {"max_us", 2500000, "2.50 s"},
        {"uptime_s", 59, ""},
        {"uptime_s", 61, "1 m 1 s"},
        {"uptime_s", 7320, "2 h 2 m"},
        {"uptime_s", 180000, "2 d 2 h"},
        {"draws", 123456789, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[HUMAN_BYTES];
        assert_string_equal(human_text(cases[i].name, cases[i].number, text), cases[i].said);
    }
}

/* ---- commands ---------------------------------------------------------------------------- */

/* Runs a command line against the peer's answers; what it printed is in *out and *err. */
static enum exit_status run_line(struct peer *peer, const char *line, char **out, char **err)
{
    struct arguments arguments;
    struct urnclient *client;
    struct urnclient_error error;
    char copy[LINE_BYTES];
    bool taken;
    size_t out_length, err_length;
    char *said = read_line(line, &taken, &arguments, copy);
    assert_string_equal(said, "");
    free(said);
    struct terminal terminal = {.out = open_memstream(out, &out_length), .utf8 = false};
    FILE *err_stream = tmpfile(); /* commands look at its descriptor */
    assert_non_null(err_stream);
    peer_answer_in_turn(peer);
    struct urnclient_options options = {.address = peer->address, .max_in_flight = 1};
    assert_int_equal(urnclient_connect(&options, &client, &error), URNCLIENT_OK);
    enum exit_status status = command_run(&arguments, client, &terminal, err_stream);
    urnclient_close(client);
    peer_join(peer);
    fclose(terminal.out);
    err_length = (size_t)ftell(err_stream);
    rewind(err_stream);
    *err = calloc(1, err_length + 1);
    assert_int_equal(fread(*err, 1, err_length, err_stream), err_length);
    fclose(err_stream);
    return status;
}

/* Runs a line with what was packed, and compares everything. */
static void expect(struct peer *peer, const char *line, enum exit_status status, const char *out,
                   const char *err)
{
    char *printed, *complained;
    assert_int_equal(run_line(peer, line, &printed, &complained), status);
    assert_string_equal(printed, out);
    assert_string_equal(complained, err);
    free(printed);
    free(complained);
    peer_stop(peer);
}

static void pack_draw(struct peer *peer, uint64_t first_request_id)
{
    peer_pack_answer(peer, 0);
    msgpack_pack_array(&peer->pack, 5);
    msgpack_pack_uint64(&peer->pack, first_request_id);
}

static void pack_draw_end(struct peer *peer, uint32_t failed)
{
    msgpack_pack_uint32(&peer->pack, failed);
    msgpack_pack_int(&peer->pack, 1);
    msgpack_pack_false(&peer->pack);
}

static void pack_named_draw(struct peer *peer)
{
    peer_listen(peer);
    pack_draw(peer, 9);
    msgpack_pack_array(&peer->pack, 3);
    peer_pack_text(peer, "diamond");
    peer_pack_text(peer, "a\nb");
    msgpack_pack_nil(&peer->pack);
    pack_draw_end(peer, 1);
}

static void draw_prints_a_line_for_each_outcome(void **state)
{
    (void)state;
    struct peer peer;
    pack_named_draw(&peer);
    expect(&peer, "urn draw main 3", EXIT_DONE,
           "REQUEST ID  ITEM\n"
           "         9  diamond\n"
           "        10  a?b\n"
           "        11  (nothing in stock)\n"
           "3 draws, 1 of them found nothing in stock; request ids 9 to 11; odds version 1\n",
           "");
    pack_named_draw(&peer);
    expect(&peer, "urn --json draw main 3", EXIT_DONE,
           "[9, [\"diamond\", \"a\\u000ab\", null], 1, 1, false]\n", "");
}

static void pack_index_draw(struct peer *peer)
{
    peer_listen(peer);
    pack_draw(peer, 9007199254740991u);
    msgpack_pack_array(&peer->pack, 1);
    msgpack_pack_int(&peer->pack, 65536);
    pack_draw_end(peer, 0);
}

static void pack_tally_draw(struct peer *peer)
{
    peer_listen(peer);
    pack_draw(peer, 1);
    msgpack_pack_map(&peer->pack, 2);
    peer_pack_text(peer, "diamond");
    msgpack_pack_int(&peer->pack, 1);
    peer_pack_text(peer, "mud");
    msgpack_pack_int(&peer->pack, 998);
    pack_draw_end(peer, 1);
}

static void draw_prints_indexes_and_tallies(void **state)
{
    (void)state;
    struct peer peer;
    pack_index_draw(&peer);
    expect(&peer, "urn draw main --as indexes", EXIT_DONE,
           "      REQUEST ID  INDEX\n"
           "9007199254740991  65536\n"
           "1 draw; request id 9007199254740991; odds version 1\n",
           "");
    pack_index_draw(&peer);
    expect(&peer, "urn draw main --as indexes --json", EXIT_DONE,
           "[9007199254740991, [65536], 0, 1, false]\n", "");
    pack_tally_draw(&peer);
    expect(&peer, "urn draw main 1000 --as tally", EXIT_DONE,
           "ITEM     DRAWN   SHARE\n"
           "diamond      1   0.10%\n"
           "mud        998  99.80%\n"
           "1000 draws, 1 of them found nothing in stock; request ids 1 to 1000; odds version 1\n",
           "");
    pack_tally_draw(&peer);
    expect(&peer, "urn draw main 1000 --as tally --json", EXIT_DONE,
           "[1, {\"diamond\": 1, \"mud\": 998}, 1, 1, false]\n", "");
}

/* A page of a pool of `total` items: quantities 100, 0, unlimited and so on. */
static void pack_state(struct peer *peer, uint32_t msgid, uint32_t first, uint32_t count,
                       uint32_t total)
{
    static const int64_t quantities[] = {100, 0, -1};
    static const int drawn[] = {300, 7, 12};
    peer_pack_answer(peer, msgid);
    msgpack_pack_map(&peer->pack, 7);
    peer_pack_text(peer, "pool");
    peer_pack_text(peer, "main");
    peer_pack_text(peer, "open");
    msgpack_pack_true(&peer->pack);
    peer_pack_text(peer, "odds_version");
    msgpack_pack_int(&peer->pack, 2);
    peer_pack_text(peer, "last_request_id");
    msgpack_pack_uint32(&peer->pack, 319 + msgid);
    peer_pack_text(peer, "lsn");
    msgpack_pack_int(&peer->pack, 8192);
    peer_pack_text(peer, "total");
    msgpack_pack_uint32(&peer->pack, total);
    peer_pack_text(peer, "items");
    msgpack_pack_array(&peer->pack, count);
    for (uint32_t i = first; i < first + count; i++) {
        char item_id[16];
        snprintf(item_id, sizeof item_id, "item-%u", i);
        msgpack_pack_map(&peer->pack, 5);
        peer_pack_text(peer, "item_id");
        peer_pack_text(peer, item_id);
        peer_pack_text(peer, "index");
        msgpack_pack_uint32(&peer->pack, i);
        peer_pack_text(peer, "quantity");
        msgpack_pack_int64(&peer->pack, quantities[i % 3]);
        peer_pack_text(peer, "probability");
        msgpack_pack_int(&peer->pack, i % 3 == 2 ? 30 : 10);
        peer_pack_text(peer, "drawn");
        msgpack_pack_int(&peer->pack, drawn[i % 3]);
    }
}

static void state_shows_stock_chances_and_bars(void **state)
{
    (void)state;
    struct peer peer;
    peer_listen(&peer);
    pack_state(&peer, 0, 0, 3, 3);
    expect(&peer, "urn state main", EXIT_DONE,
           "pool main: open, 3 items, odds version 2, last request id 319, LSN 8192\n"
           "INDEX  ITEM         LEFT  DRAWN  WEIGHT  CHANCE  REMAINS\n"
           "    0  item-0        100    300      10  25.00%  #####...............  25.00%\n"
           "    1  item-1          0      7      10   0.00%  ....................   0.00%\n"
           "    2  item-2  unlimited     12      30  75.00%  -\n",
           "");
    /* A part of the pool: nobody knows the chances. */
    peer_listen(&peer);
    pack_state(&peer, 0, 2, 1, 3);
    expect(&peer, "urn state main --offset 2", EXIT_DONE,
           "pool main: open, 3 items, odds version 2, last request id 319, LSN 8192\n"
           "INDEX  ITEM         LEFT  DRAWN  WEIGHT  REMAINS\n"
           "    2  item-2  unlimited     12      30  -\n",
           "");
    peer_listen(&peer);
    pack_state(&peer, 0, 1, 1, 3);
    expect(&peer, "urn --json state main --offset 1 --limit 1", EXIT_DONE,
           "{\"pool\": \"main\", \"open\": true, \"odds_version\": 2, \"last_request_id\": 319, "
           "\"lsn\": 8192, \"total\": 3, \"items\": [{\"item_id\": \"item-1\", \"index\": 1, "
           "\"quantity\": 0, \"probability\": 10, \"drawn\": 7}]}\n",
           "");
}

static void pages_are_put_together(void **state)
{
    (void)state;
    struct peer peer;
    char *out, *err;
    peer_listen(&peer);
    pack_state(&peer, 0, 0, 1000, 2500);
    pack_state(&peer, 1, 1000, 1000, 2500);
    pack_state(&peer, 2, 2000, 500, 2500);
    assert_int_equal(run_line(&peer, "urn state main", &out, &err), EXIT_DONE);
    uint32_t lines = 0;
    for (const char *at = out; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 2 + 2500);
    /* What the first page said of the pool stands. */
    assert_non_null(strstr(out, "2500 items, odds version 2, last request id 319,"));
    assert_non_null(strstr(out, "\n 2499  item-2499 "));
    assert_string_equal(err, "");
    free(out);
    free(err);
    peer_stop(&peer);
}

static void too_big_a_page_is_asked_for_in_pieces(void **state)
{
    (void)state;
    struct peer peer;
    char *out, *err;
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "TOOBIG ask for at most 300 at a time");
    peer_pack_error(&peer, 1, "TOOBIG ask for at most 300 at a time");
    pack_state(&peer, 2, 0, 250, 260);
    pack_state(&peer, 3, 250, 10, 260);
    assert_int_equal(run_line(&peer, "urn --json state main", &out, &err), EXIT_DONE);
    assert_non_null(strstr(out, "item-259"));
    free(out);
    free(err);
    peer_stop(&peer);
}

static void catalog_pools_and_ping_print(void **state)
{
    (void)state;
    struct peer peer;
    for (int json = 0; json < 2; json++) {
        peer_listen(&peer);
        peer_pack_answer(&peer, 0);
        msgpack_pack_array(&peer.pack, 3);
        msgpack_pack_int(&peer.pack, 3);
        msgpack_pack_int(&peer.pack, 11);
        msgpack_pack_array(&peer.pack, 2);
        peer_pack_text(&peer, "gold");
        peer_pack_text(&peer, "mud");
        expect(&peer, json ? "urn --json catalog main --offset 9" : "urn catalog main --offset 9",
               EXIT_DONE,
               json ? "[3, 11, [\"gold\", \"mud\"]]\n"
                    : "INDEX  ITEM\n    9  gold\n   10  mud\n2 of 11 items; odds version 3\n",
               "");
        peer_listen(&peer);
        peer_pack_answer(&peer, 0);
        msgpack_pack_array(&peer.pack, 2);
        peer_pack_text(&peer, "main");
        peer_pack_text(&peer, "second pool");
        expect(&peer, json ? "urn --json pools" : "urn pools", EXIT_DONE,
               json ? "[\"main\", \"second pool\"]\n" : "main\nsecond pool\n", "");
    }
    peer_listen(&peer);
    peer_pack_answer(&peer, 0);
    peer_pack_text(&peer, "pong");
    expect(&peer, "urn --json ping", EXIT_DONE, "\"pong\"\n", "");
}

static void a_lookup_is_printed(void **state)
{
    (void)state;
    static const char drawn[] = "\x87\xaarequest_id\x05\xa4pool\xa4main\xa7item_id\xa4gold"
                                "\xa5index\x02\xacodds_version\x06"
                                "\xa7time_us\xcf\x00\x06\x0a\x24\x18\x1e\x40\x00\xa3lsn\x08";
    static const char failed[] = "\x87\xaarequest_id\x05\xa4pool\xa4main\xa7item_id\xc0"
                                 "\xa5index\xc0\xacodds_version\x06\xa7time_us\x07\xa3lsn\x08";
    static const struct {
        const char *line, *answer;
        size_t length;
        const char *out;
    } cases[] = {
        {"urn lookup 5", drawn, sizeof drawn - 1,
         "request id    5\npool          main\nitem          gold (index 2)\n"
         "odds version  6\ntime          2023-11-14T22:13:20.000000Z\nLSN           8\n"},
        {"urn --json lookup 5", drawn, sizeof drawn - 1,
         "{\"request_id\": 5, \"pool\": \"main\", \"item_id\": \"gold\", \"index\": 2, "
         "\"odds_version\": 6, \"time_us\": 1700000000000000, \"lsn\": 8}\n"},
        {"urn lookup 5", failed, sizeof failed - 1,
         "request id    5\npool          main\nitem          (nothing in stock)\n"
         "odds version  6\ntime          1970-01-01T00:00:00.000007Z\nLSN           8\n"},
        {"urn --json lookup 5", failed, sizeof failed - 1,
         "{\"request_id\": 5, \"pool\": \"main\", \"item_id\": null, \"index\": null, "
         "\"odds_version\": 6, \"time_us\": 7, \"lsn\": 8}\n"},
    };
    struct peer peer;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_listen(&peer);
        peer_pack_answer(&peer, 0);
        msgpack_sbuffer_write(&peer.buffer, cases[i].answer, cases[i].length);
        expect(&peer, cases[i].line, EXIT_DONE, cases[i].out, "");
    }
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "NOTFOUND request id 5 has not been given yet; no draw is known");
    expect(&peer, "urn lookup 5", EXIT_REFUSED, "",
           "urn: NOTFOUND request id 5 has not been given yet; no draw is known\n"
           "     an id is known from its draw's answer on, until the log that has it is "
           "overwritten\n");
}

static void info_is_laid_out_by_groups(void **state)
{
    (void)state;
    struct peer peer;
    static const char *const lines[] = {"urn info", "urn info --format text", "urn info --json",
                                        "urn info --format=json", "urn info --format json --json"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        bool json = i >= 2;
        peer_listen(&peer);
        peer_pack_answer(&peer, 0);
        msgpack_pack_map(&peer.pack, 3);
        peer_pack_text(&peer, "version");
        peer_pack_text(&peer, "0.1.0");
        peer_pack_text(&peer, "failure");
        msgpack_pack_nil(&peer.pack);
        peer_pack_text(&peer, "ring");
        msgpack_pack_map(&peer.pack, 2);
        peer_pack_text(&peer, "size_bytes");
        msgpack_pack_int(&peer.pack, 65536);
        peer_pack_text(&peer, "full");
        msgpack_pack_false(&peer.pack);
        expect(&peer, lines[i], EXIT_DONE,
               json ? "{\"version\": \"0.1.0\", \"failure\": null, \"ring\": {\"size_bytes\": "
                      "65536, \"full\": false}}\n"
                    : "version       0.1.0\n"
                      "failure       none\n"
                      "ring\n"
                      "  size_bytes  65536  (64.0 KiB)\n"
                      "  full        no\n",
               "");
    }
}

static void errors_have_hints_and_exit_statuses(void **state)
{
    (void)state;
    struct peer peer;
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "NOPOOL no pool is called \"x\"");
    expect(&peer, "urn draw x", EXIT_REFUSED, "",
           "urn: NOPOOL no pool is called \"x\"\n     urn pools lists the pools there are\n");
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "NEWCODE \x1b[2J");
    expect(&peer, "urn --json draw x", EXIT_REFUSED, "", "urn: NEWCODE \xef\xbf\xbd[2J\n");
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "");
    expect(&peer, "urn draw x", EXIT_REFUSED, "",
           "urn: the server answered with an error without a text\n");
    peer_listen(&peer);
    peer_pack_error(&peer, 0, "NEWCODE");
    expect(&peer, "urn draw x", EXIT_REFUSED, "",
           "urn: NEWCODE the server answered with an error without a text\n");
    peer_listen(&peer); /* no answer at all: the connection ends */
    char *out, *err;
    assert_int_equal(run_line(&peer, "urn draw x", &out, &err), EXIT_IO);
    assert_non_null(strstr(err, "urn: the server closed the connection (unix:"));
    assert_non_null(strstr(err, "it may have been done"));
    free(out);
    free(err);
    peer_stop(&peer);
    peer_listen(&peer);
    msgpack_sbuffer_write(&peer.buffer, "\x05", 1);
    assert_int_equal(run_line(&peer, "urn pools", &out, &err), EXIT_IO);
    assert_non_null(strstr(err, "not a server of urn"));
    assert_null(strstr(err, "may have been done"));
    free(out);
    free(err);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(what_is_left_out_has_defaults),
        cmocka_unit_test(help_is_asked_for_in_many_ways),
        cmocka_unit_test(a_wrong_command_line_says_what_was_perhaps_meant),
        cmocka_unit_test(durations_have_units_and_bounds),
        cmocka_unit_test(bars_never_lie_at_their_ends),
        cmocka_unit_test(names_cannot_steer_a_terminal),
        cmocka_unit_test(json_is_exact_and_well_formed),
        cmocka_unit_test(numbers_are_said_as_people_say_them),
        cmocka_unit_test(draw_prints_a_line_for_each_outcome),
        cmocka_unit_test(draw_prints_indexes_and_tallies),
        cmocka_unit_test(state_shows_stock_chances_and_bars),
        cmocka_unit_test(pages_are_put_together),
        cmocka_unit_test(too_big_a_page_is_asked_for_in_pieces),
        cmocka_unit_test(catalog_pools_and_ping_print),
        cmocka_unit_test(a_lookup_is_printed),
        cmocka_unit_test(info_is_laid_out_by_groups),
        cmocka_unit_test(errors_have_hints_and_exit_statuses),
    };
    return cmocka_run_group_tests_name("urn", tests, NULL, NULL);
}
