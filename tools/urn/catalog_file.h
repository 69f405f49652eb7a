/* catalog_file.h: a catalog as lines of text, for urn create.
 *
 *     <item id> TAB <quantity> TAB <weight> LF        quantity -1: unlimited; empty lines are skipped
 */
#ifndef URN_TOOLS_URN_CATALOG_FILE_H
#define URN_TOOLS_URN_CATALOG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/client.h"

struct catalog_file {
    char *text; /* the whole file; ids point into it */
    struct urnclient_item_spec *items;
    uint32_t count;
};

/* Reads a file, "-" standard input, NULL nothing. False, and why in text, when it cannot be read or a
 * line is wrong. The caller frees *catalog. */
bool catalog_file_read(const char *path, struct catalog_file *catalog, char *text,
                       size_t text_bytes);
void catalog_file_free(struct catalog_file *catalog);

#endif
