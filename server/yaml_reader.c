/* yaml_reader.c: libyaml's events, one value at a time. See yaml_reader.h. */
#include "server/yaml_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "engine/check.h"

static struct yaml_place place_of(yaml_mark_t mark)
{
    return (struct yaml_place){.line = (uint32_t)mark.line + 1,
                               .column = (uint32_t)mark.column + 1};
}

enum urn_code yaml_reader_refuse(const struct yaml_reader *reader, struct yaml_place place,
                                 struct urn_error *error, const char *format, ...)
{
    char words[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (place.line == 0)
        return error_set(error, URN_CONFIG, 0, "%s: %s", reader->path, words);
    return error_set(error, URN_CONFIG, 0, "%s:%u:%u: %s", reader->path, place.line, place.column,
                     words);
}

/* libyaml asks for more bytes; 0 tells it that there was an error. */
static int read_more(void *context, unsigned char *to, size_t capacity, size_t *length)
{
    struct yaml_reader *reader = context;
    errno = 0;
    if (reader->silence_bytes > YAML_READER_SILENCE_BYTES)
        return 0;
    *length = fread(to, 1, capacity, reader->file);
    reader->silence_bytes += *length;
    if (*length == 0 && ferror(reader->file)) {
        reader->read_errno = errno != 0 ? errno : EIO;
        return 0;
    }
    return 1;
}

/* What libyaml did not like, in its words and at its place. */
static enum urn_code refuse_parse(const struct yaml_reader *reader, struct urn_error *error)
{
    const yaml_parser_t *parser = &reader->parser;
    if (reader->read_errno != 0)
        return error_set(error, URN_CONFIG, reader->read_errno, "%s: cannot be read", reader->path);
    if (reader->silence_bytes > YAML_READER_SILENCE_BYTES)
        return error_set(error, URN_CONFIG, 0,
                         "%s: more than %u bytes behind line %zu without a value that ends",
                         reader->path, YAML_READER_SILENCE_BYTES, parser->mark.line + 1);
    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(error, URN_NOMEMORY, 0, "%s: no memory to read it", reader->path);
    if (parser->error == YAML_READER_ERROR)
        return error_set(error, URN_CONFIG, 0, "%s: byte %zu: not UTF-8 text: %s", reader->path,
                         parser->problem_offset, parser->problem);
    return yaml_reader_refuse(reader, place_of(parser->problem_mark), error, "not YAML: %s%s%s",
                              parser->problem, parser->context != NULL ? ", " : "",
                              parser->context != NULL ? parser->context : "");
}

/* The next event, without what a configuration has no use for. */
static enum urn_code next_event(struct yaml_reader *reader, struct urn_error *error)
{
    yaml_event_delete(&reader->event);
    reader->silence_bytes = 0;
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return refuse_parse(reader, error);
    const yaml_event_t *event = &reader->event;
    const unsigned char *anchor = NULL;
    const unsigned char *tag = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    case YAML_ALIAS_EVENT:
        anchor = event->data.alias.anchor;
        break;
    default:
        break;
    }
    if (anchor != NULL)
        return yaml_reader_refuse(reader, place_of(event->start_mark), error,
                                  "anchors and aliases are not taken here: write the value out");
    if (tag != NULL)
        return yaml_reader_refuse(reader, place_of(event->start_mark), error,
                                  "tags (%s) are not taken here: write the value alone",
                                  (const char *)tag);
    return URN_OK;
}

enum urn_code yaml_reader_open(struct yaml_reader *reader, const char *path,
                               struct urn_error *error)
{
    memset(reader, 0, sizeof *reader);
    reader->path = path;
    reader->file = fopen(path, "re");
    if (reader->file == NULL)
        return error_set(error, URN_CONFIG, errno, "%s: cannot be opened", path);
    if (!yaml_parser_initialize(&reader->parser)) {
        fclose(reader->file);
        return error_set(error, URN_NOMEMORY, 0, "%s: no memory to read it", path);
    }
    yaml_parser_set_input(&reader->parser, read_more, reader);

    enum urn_code code = next_event(reader, error);
    if (code == URN_OK)
        code = next_event(reader, error);
    if (code == URN_OK && reader->event.type == YAML_STREAM_END_EVENT)
        code = yaml_reader_refuse(reader, (struct yaml_place){1, 1}, error,
                                  "the file holds no configuration");
    if (code != URN_OK)
        yaml_reader_close(reader);
    return code;
}

void yaml_reader_close(struct yaml_reader *reader)
{
    yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
    fclose(reader->file);
    memset(reader, 0, sizeof *reader);
}

enum urn_code yaml_reader_next(struct yaml_reader *reader, struct yaml_value *value,
                               struct urn_error *error)
{
    enum urn_code code = next_event(reader, error);
    if (code != URN_OK)
        return code;
    const yaml_event_t *event = &reader->event;
    *value = (struct yaml_value){.kind = YAML_END, .place = place_of(event->start_mark)};
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        value->kind = YAML_TEXT;
        value->text = (const char *)event->data.scalar.value;
        value->length = event->data.scalar.length;
        value->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (memchr(value->text, 0, value->length) != NULL)
            return yaml_reader_refuse(reader, value->place, error,
                                      "a byte of zero is not taken in a text");
        break;
    case YAML_SEQUENCE_START_EVENT:
        value->kind = YAML_LIST;
        break;
    case YAML_MAPPING_START_EVENT:
        value->kind = YAML_MAPPING;
        break;
    default:
        CHECK(event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT ||
              event->type == YAML_DOCUMENT_END_EVENT);
        break;
    }
    return URN_OK;
}

enum urn_code yaml_reader_finish(struct yaml_reader *reader, struct urn_error *error)
{
    enum urn_code code = next_event(reader, error);
    if (code != URN_OK)
        return code;
    CHECK(reader->event.type == YAML_DOCUMENT_END_EVENT);
    code = next_event(reader, error);
    if (code != URN_OK)
        return code;
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return yaml_reader_refuse(
            reader, place_of(reader->event.start_mark), error,
            "a second document begins here: one file holds one configuration");
    return URN_OK;
}
