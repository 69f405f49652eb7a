/* help.c: what urn says about itself. See arguments.h. */
#include "tools/urn/arguments.h"

static const char options_text[] =
    "Options\n"
    "  --address A   the server: host:port, [IPv6]:port or unix:PATH. Without it, what the\n"
    "                environment variable URN_ADDRESS says, else " URNCLIENT_DEFAULT_ADDRESS "\n"
    "  --json        print the server's answer as one JSON document\n"
    "  --timeout T   how long to wait for an answer: 5s, 250ms, 1m (default 30s)\n"
    "  --help        explain urn, or after a command that command\n"
    "  --version     print the version\n";

static const char statuses_text[] =
    "Exit statuses\n"
    "   0  done\n"
    "   1  the server answered with an error, printed as: urn: CODE text\n"
    "  64  the command line is wrong\n"
    "  69  no server answers at the address\n"
    "  74  the connection, or writing the output, failed\n";

static const char *const command_texts[COMMAND_COUNT] = {
    [COMMAND_PING] =
        "Asks the server for a sign of life and prints how long it took. A server whose log has\n"
        "failed still answers.\n"
        "\n"
        "Examples\n"
        "  urn ping\n"
        "  urn --address unix:/run/urn/urn.sock ping\n"
        "  urn --timeout 1s ping || systemctl restart urnd\n",
    [COMMAND_DRAW] = "Draws COUNT items (default 1) and prints one line for each: request id and "
                     "item. When the\n"
                     "outcome is printed it is safe on the server's disk. A draw that finds "
                     "nothing in stock has\n"
                     "an id too, and no item.\n"
                     "\n"
                     "  --as names    the ids of the items (default)\n"
                     "  --as indexes  their positions in the catalog\n"
                     "  --as tally    how many of each item\n"
                     "  --all         either every draw succeeds or none is made (NOSTOCK)\n"
                     "\n"
                     "Examples\n"
                     "  urn draw main\n"
                     "  urn draw main 10\n"
                     "  urn draw main 1000 --as tally\n"
                     "  urn --json draw main 3 --all\n",
    [COMMAND_STATE] =
        "Shows the stock of a pool: of each item what is left, how many were drawn, its weight, "
        "its\n"
        "chance in the next draw, and which share of the stock remains. Large pools are read in\n"
        "pages, one after another, while draws may go on.\n"
        "\n"
        "  --offset N    begin with the item of index N (default 0)\n"
        "  --limit N     show at most N items (default all)\n"
        "\n"
        "Examples\n"
        "  urn state main\n"
        "  urn state coupons --offset 5000 --limit 20\n"
        "  urn --json state main | jq '.items[] | select(.quantity == 0) | .item_id'\n",
    [COMMAND_CATALOG] =
        "Lists the items of a pool by index. Indexes never change, so a client that knows the\n"
        "catalog can draw --as indexes.\n"
        "\n"
        "  --offset N    begin with index N (default 0)\n"
        "  --limit N     list at most N items (default all)\n"
        "\n"
        "Examples\n"
        "  urn catalog main\n"
        "  urn --json catalog main --limit 3\n",
    [COMMAND_POOLS] = "Lists the names of all pools, in order of creation.\n"
                      "\n"
                      "Examples\n"
                      "  urn pools\n"
                      "  for pool in $(urn pools); do urn state \"$pool\"; done\n",
    [COMMAND_LOOKUP] =
        "Tells what came of the draw with a request id: pool, item (or that nothing was in "
        "stock),\n"
        "odds version, time, and where the log has it. Every draw that was answered is known, as\n"
        "long as the server keeps its log; NOTFOUND says which ids are. urn-wal find tells more,\n"
        "from the server's files.\n"
        "\n"
        "Examples\n"
        "  urn lookup 4711\n"
        "  urn --json lookup 4711 | jq -r .item_id\n",
    [COMMAND_UPDATE] =
        "Sets how many of an item are left, its weight, or both. With --if-quantity nothing is\n"
        "done unless exactly so many are left (CONFLICT tells how many there are).\n"
        "\n"
        "  --quantity N      left from now on; -1: unlimited\n"
        "  --probability W   the weight; 0: never drawn\n"
        "  --if-quantity M   the condition\n"
        "\n"
        "Examples\n"
        "  urn update main diamond --quantity 200 --if-quantity 100\n"
        "  urn update main mud --probability 60\n",
    [COMMAND_ADD] = "Adds an item behind the others. Items are never removed: set the quantity or\n"
                    "the weight to 0 instead.\n"
                    "\n"
                    "Examples\n"
                    "  urn add main ruby --quantity 50 --probability 5\n",
    [COMMAND_CREATE] =
        "Creates a pool and opens it once it has all items of FILE (- is standard input): a line\n"
        "for each, with id, quantity (-1: unlimited) and weight, separated by tabs. Without FILE\n"
        "the pool is empty. If a create was interrupted, the same create again goes on.\n"
        "\n"
        "Examples\n"
        "  urn create autumn - < autumn.tsv\n"
        "  urn create coupons codes.tsv\n",
    [COMMAND_CLOSE] = "Takes no more draws from a pool (they get CLOSED). Nothing is lost.\n"
                      "\n"
                      "Examples\n"
                      "  urn close main\n",
    [COMMAND_OPEN] = "Takes draws from a closed pool again.\n"
                     "\n"
                     "Examples\n"
                     "  urn open main\n",
    [COMMAND_RELOAD] =
        "Lets the server read its configuration file again and apply what the file changed of\n"
        "the pools: new pools, new items, weights; never quantities. Weights that both the file\n"
        "and an update have changed are conflicts, and left alone.\n"
        "\n"
        "  --dry-run     only show what would change\n"
        "  --force       in a conflict take the file's weight\n"
        "\n"
        "Examples\n"
        "  urn reload --dry-run\n"
        "  urn reload\n",
    [COMMAND_SNAPSHOT] =
        "Has the server write its whole state to a file in its data directory, and prints the log\n"
        "position that it covers once the file has been read back and counts. The server takes\n"
        "snapshots by itself; ask for one before a copy of the data directory, say.\n"
        "\n"
        "Examples\n"
        "  urn snapshot\n"
        "  urn --timeout 1m snapshot\n",
    [COMMAND_INFO] =
        "Shows the server's version, log, queues, counters, latencies, memory bound and what its\n"
        "last start found. The names carry their units.\n"
        "\n"
        "  --format text        for people (default)\n"
        "  --format json        as --json\n"
        "  --format prometheus  for Prometheus: metrics in its text format\n"
        "\n"
        "Examples\n"
        "  urn info\n"
        "  urn info --format prometheus\n"
        "  urn --json info | jq .durable_lsn\n",
    [COMMAND_HELP] = "Explains urn, or a command with examples.\n"
                     "\n"
                     "Examples\n"
                     "  urn help\n"
                     "  urn help draw\n",
};

static void print_overview(FILE *out)
{
    fputs("urn draws items at random from the pools of a server (urnd) and shows their stock.\n"
          "\n"
          "Usage: urn [OPTION ...] COMMAND [ARGUMENT ...]\n"
          "\n"
          "Commands\n",
          out);
    for (int command = 0; command < COMMAND_COUNT; command++)
        fprintf(out, "  %-9s %s\n", command_name((enum command)command),
                command_summary((enum command)command));
    fprintf(out,
            "\n%s\n"
            "Examples\n"
            "  urn draw main 10              ten items from the pool main\n"
            "  urn state main                what is left in it\n"
            "  urn --json draw main 1000 --as tally\n"
            "  urn help draw                 more about a command\n"
            "\n%s",
            options_text, statuses_text);
}

void help_print(enum command about, FILE *out)
{
    if (about == COMMAND_COUNT) {
        print_overview(out);
        return;
    }
    fprintf(out, "Usage: urn [OPTION ...] %s\n\n%s\n%s", command_usage(about), command_texts[about],
            options_text);
}
