/* json_text.c: see json_text.h. */
#include "tools/urn_wal/json_text.h"

void json_string(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != 0; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            (void)fprintf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            (void)fprintf(out, "\\u%04x", byte);
        else
            (void)fputc(byte, out);
    }
    (void)fputc('"', out);
}

const char *json_bool(bool value)
{
    return value ? "true" : "false";
}
