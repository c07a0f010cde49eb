#include "converter/json.h"

#include "converter/report/markup.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void write_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    while (*text) {
        const char *start = text;
        uint32_t character = pbitc_utf8_next(&text);
        unsigned char byte = (unsigned char)*start;
        if (byte == '"' || byte == '\\')
            fprintf(stream, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(stream, "\\u%04x", byte);
        else if (character == PBITC_UTF8_REPLACEMENT)
            fputs("\xef\xbf\xbd", stream);
        else
            fwrite(start, 1, (size_t)(text - start), stream);
    }
    fputc('"', stream);
}

static void new_line(struct pbitc_json *json)
{
    fprintf(json->stream, "\n%*s", 2 * json->depth, "");
}

/// What stands before every value: comma, line break, key.
static void begin(struct pbitc_json *json, const char *key)
{
    if (json->depth > 0) {
        bool lines = json->depth <= json->indent;
        if (json->filled[json->depth])
            fputs(lines ? "," : ", ", json->stream);
        if (lines)
            new_line(json);
        json->filled[json->depth] = true;
    }
    if (key) {
        write_string(json->stream, key);
        fputs(": ", json->stream);
    }
}

static void open_container(struct pbitc_json *json, const char *key, char bracket)
{
    begin(json, key);
    fputc(bracket, json->stream);
    json->filled[++json->depth] = false;
}

static void close_container(struct pbitc_json *json, char bracket)
{
    bool lines = json->filled[json->depth] && json->depth <= json->indent;
    json->depth--;
    if (lines)
        new_line(json);
    fputc(bracket, json->stream);
    if (json->depth == 0 && json->indent > 0)
        fputc('\n', json->stream);
}

void pbitc_json_open_object(struct pbitc_json *json, const char *key)
{
    open_container(json, key, '{');
}

void pbitc_json_close_object(struct pbitc_json *json)
{
    close_container(json, '}');
}

void pbitc_json_open_array(struct pbitc_json *json, const char *key)
{
    open_container(json, key, '[');
}

void pbitc_json_close_array(struct pbitc_json *json)
{
    close_container(json, ']');
}

void pbitc_json_string(struct pbitc_json *json, const char *key, const char *text)
{
    begin(json, key);
    if (text)
        write_string(json->stream, text);
    else
        fputs("null", json->stream);
}

void pbitc_json_integer(struct pbitc_json *json, const char *key, int64_t value)
{
    begin(json, key);
    fprintf(json->stream, "%" PRId64, value);
}

void pbitc_json_real(struct pbitc_json *json, const char *key, double value)
{
    if (!isfinite(value)) {
        pbitc_json_null(json, key);
        return;
    }
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    begin(json, key);
    fputs(text, json->stream);
}

void pbitc_json_bool(struct pbitc_json *json, const char *key, bool value)
{
    begin(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void pbitc_json_null(struct pbitc_json *json, const char *key)
{
    begin(json, key);
    fputs("null", json->stream);
}

void pbitc_json_parsed(struct pbitc_json *json, const char *key, const cJSON *value)
{
    bool deep = json->depth + 1 >= PBITC_JSON_DEPTH;
    const cJSON *item;
    if (cJSON_IsString(value)) {
        pbitc_json_string(json, key, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        pbitc_json_real(json, key, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        pbitc_json_bool(json, key, cJSON_IsTrue(value));
    } else if (cJSON_IsObject(value) && !deep) {
        pbitc_json_open_object(json, key);
        cJSON_ArrayForEach(item, value) pbitc_json_parsed(json, item->string, item);
        pbitc_json_close_object(json);
    } else if (cJSON_IsArray(value) && !deep) {
        pbitc_json_open_array(json, key);
        cJSON_ArrayForEach(item, value) pbitc_json_parsed(json, NULL, item);
        pbitc_json_close_array(json);
    } else {
        pbitc_json_null(json, key);
    }
}
