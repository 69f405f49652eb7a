/* config_values.h: the plain values of a configuration, from text. Pure.
 *
 * Numbers are plain decimal integers: no sign but a leading '-', no blank, no separator, no leading
 * zero (YAML 1.1 reads 010 as eight), no fraction, no exponent. Sizes and durations are such an
 * integer and a unit, without a blank.
 */
#ifndef URN_SERVER_CONFIG_VALUES_H
#define URN_SERVER_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_result {
    VALUE_OK = 0,
    VALUE_SHAPE,    /* not written as such a value is written */
    VALUE_NO_UNIT,  /* a number where a number with a unit was expected */
    VALUE_UNIT,     /* a number followed by no unit that we know */
    VALUE_OVERFLOW, /* well written, and beyond what 64 bits hold */
};

/* "-1", "100": any that fits an int64_t. */
enum value_result value_parse_integer(const char *text, int64_t *value);

/* "512B", "64KiB", "16MiB", "1GiB", in bytes. */
enum value_result value_parse_size(const char *text, uint64_t *bytes);

/* "10ms", "30s", "5m", "2h", "1d", in nanoseconds. */
enum value_result value_parse_duration(const char *text, uint64_t *duration_ns);

/* Whether YAML's readers would take an unquoted text for a number, a truth value or nothing. */
bool value_looks_typed(const char *text);

/* How many characters must be added, dropped, changed or swapped with a neighbour to make one text
 * of the other (optimal string alignment); SIZE_MAX for texts of 64 bytes or more. */
size_t value_edit_distance(const char *one, const char *other);

/* Text from a file made fit for a message: cut between characters where it is too long, control
 * characters as '?'. */
#define VALUE_SHOWN_BYTES 48u
void value_show(char shown[VALUE_SHOWN_BYTES], const char *text);

#endif
