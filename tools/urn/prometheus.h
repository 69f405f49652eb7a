/* prometheus.h: the map that `info` answers, in the text format that Prometheus reads.
 *
 * Names and units follow Prometheus' habits: urn_ in front, seconds and bytes, _total behind what only
 * ever rises. Figures that stand in the table of prometheus.c have a name and an explanation of their
 * own. Every other number or truth value appears by itself, its name made of its keys
 * (`snapshots.pause_max_us` becomes urn_snapshots_pause_max_seconds), so that a server that tells more
 * than this program knows loses nothing; and every other text becomes a label of urn_build_info.
 * Lists, and figures that are nil, are left out.
 */
#ifndef URN_TOOLS_URN_PROMETHEUS_H
#define URN_TOOLS_URN_PROMETHEUS_H

#include <stdio.h>

#include "proto/client.h"

/* Prints the whole exposition, ending with a line feed. info is a map. */
void prometheus_print(FILE *out, const struct urnclient_value *info);

#endif
