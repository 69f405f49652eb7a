/* json.c: see json.h. */
#include "tools/common/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc.h"

void json_text(FILE *out, struct urnclient_text text)
{
    putc('"', out);
    for (uint32_t at = 0; at < text.length;) {
        uint32_t length = rpc_utf8_bytes(text.bytes + at, text.length - at);
        unsigned char byte = (unsigned char)text.bytes[at];
        if (length == 0)
            fputs("\\ufffd", out);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(out, "\\u%04x", byte);
        else
            fwrite(text.bytes + at, 1, length, out);
        at += length > 0 ? length : 1;
    }
    putc('"', out);
}

static void json_key(FILE *out, const struct urnclient_value *key)
{
    if (key->type == URNCLIENT_TEXT) {
        json_text(out, key->text);
        return;
    }
    char *bytes = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&bytes, &length);
    if (memory == NULL) {
        fputs("\"\"", out);
        return;
    }
    json_value(memory, key);
    fclose(memory);
    json_text(out, (struct urnclient_text){bytes, (uint32_t)length});
    free(bytes);
}

static void json_double(FILE *out, double real)
{
    if (isfinite(real))
        fprintf(out, "%.17g", real);
    else
        fputs("null", out);
}

/* Recursive: the library bounds the nesting. */
void json_value(FILE *out, const struct urnclient_value *value)
{
    switch (value->type) {
    case URNCLIENT_NIL:
        fputs("null", out);
        break;
    case URNCLIENT_BOOL:
        fputs(value->truth ? "true" : "false", out);
        break;
    case URNCLIENT_UINT:
        fprintf(out, "%" PRIu64, value->number);
        break;
    case URNCLIENT_NEGATIVE:
        fprintf(out, "%" PRId64, value->negative);
        break;
    case URNCLIENT_DOUBLE:
        json_double(out, value->real);
        break;
    case URNCLIENT_TEXT:
        json_text(out, value->text);
        break;
    case URNCLIENT_ARRAY:
        putc('[', out);
        for (uint32_t i = 0; i < value->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            json_value(out, &value->elements[i]);
        }
        putc(']', out);
        break;
    case URNCLIENT_MAP:
        putc('{', out);
        for (uint32_t i = 0; i < value->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            json_key(out, &value->pairs[i].key);
            fputs(": ", out);
            json_value(out, &value->pairs[i].value);
        }
        putc('}', out);
        break;
    }
}
