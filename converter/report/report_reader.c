#include "converter/report/report_reader.h"

#include "converter/data/readers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void pbitc_reader_problem(struct pbitc_report_reader *reader, enum pbit_status status, const char *remedy,
                          const char *what, const char *key)
{
    enum pbit_status reported =
        pbitc_report(reader->diagnostics, status, NULL, NULL, 0, remedy, "%s: %s%s", reader->name, key, what);
    reader->status = reader->status == PBIT_OK ? reported : reader->status;
}

void pbitc_reader_malformed(struct pbitc_report_reader *reader, const char *key, const char *what)
{
    pbitc_reader_problem(reader, PBIT_ERROR_FORMAT, "give a report.json as pbitc wrote it", what, key);
}

void *pbitc_reader_allocate(struct pbitc_report_reader *reader, size_t count, size_t size)
{
    void *memory = pbitc_arena_allocate(reader->report->arena, count, size);
    if (!memory && reader->status == PBIT_OK)
        reader->status = pbitc_report_memory(reader->diagnostics);
    return memory;
}

const cJSON *pbitc_json_member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/// The array, or one without items.
const cJSON *pbitc_json_only_if(bool wanted, const cJSON *array)
{
    return wanted ? array : NULL;
}

bool pbitc_json_is_count(const cJSON *item, uint64_t limit)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= (double)limit &&
           item->valuedouble == floor(item->valuedouble);
}

/// The whole number `key`; 0 after a problem.
uint64_t pbitc_read_count(struct pbitc_report_reader *reader, const cJSON *object, const char *key,
                          uint64_t limit)
{
    const cJSON *item = pbitc_json_member(object, key);
    if (pbitc_json_is_count(item, limit))
        return (uint64_t)item->valuedouble;
    pbitc_reader_malformed(reader, key, " is missing or no whole number in its range");
    return 0;
}

double pbitc_read_real(struct pbitc_report_reader *reader, const cJSON *object, const char *key)
{
    const cJSON *item = pbitc_json_member(object, key);
    if (cJSON_IsNumber(item))
        return item->valuedouble;
    pbitc_reader_malformed(reader, key, " is missing or no number");
    return 0;
}

bool pbitc_read_bool(struct pbitc_report_reader *reader, const cJSON *object, const char *key)
{
    const cJSON *item = pbitc_json_member(object, key);
    if (!cJSON_IsBool(item))
        pbitc_reader_malformed(reader, key, " is missing or neither true nor false");
    return cJSON_IsTrue(item);
}

/// A copy in the report's arena; "" after a problem.
const char *pbitc_read_text(struct pbitc_report_reader *reader, const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(pbitc_json_member(object, key));
    if (!text)
        pbitc_reader_malformed(reader, key, " is missing or no text");
    const char *copy =
        pbitc_arena_copy_string(reader->report->arena, text ? text : "", text ? strlen(text) : 0);
    if (!copy && reader->status == PBIT_OK)
        reader->status = pbitc_report_memory(reader->diagnostics);
    return copy ? copy : "";
}

uint64_t pbitc_read_hash(struct pbitc_report_reader *reader, const cJSON *object, const char *key)
{
    static const char prefix[] = "fnv1a64:";
    const char *text = cJSON_GetStringValue(pbitc_json_member(object, key));
    if (text && strncmp(text, prefix, sizeof(prefix) - 1) == 0 && strlen(text) == sizeof(prefix) - 1 + 16 &&
        strspn(text + sizeof(prefix) - 1, "0123456789abcdef") == 16)
        return strtoull(text + sizeof(prefix) - 1, NULL, 16);
    pbitc_reader_malformed(reader, key, " is missing or no hash");
    return 0;
}

/// The array `key` of at most `limit` items; NULL after a problem.
const cJSON *pbitc_read_array(struct pbitc_report_reader *reader, const cJSON *object, const char *key,
                              size_t limit)
{
    const cJSON *array = pbitc_json_member(object, key);
    if (cJSON_IsArray(array) && (size_t)cJSON_GetArraySize(array) <= limit)
        return array;
    pbitc_reader_malformed(reader, key, " is missing or no list of a size that fits");
    return NULL;
}

/// Exactly `count` whole numbers into numbers[count].
void pbitc_read_counts(struct pbitc_report_reader *reader, const cJSON *array, const char *key, size_t count,
                       uint64_t *numbers)
{
    const cJSON *item;
    bool good = cJSON_IsArray(array) && (size_t)cJSON_GetArraySize(array) == count;
    size_t i = 0;
    cJSON_ArrayForEach(item, pbitc_json_only_if(good, array))
    {
        good = good && pbitc_json_is_count(item, PBITC_JSON_COUNT_LIMIT);
        numbers[i++] = good ? (uint64_t)item->valuedouble : 0;
    }
    if (!good)
        pbitc_reader_malformed(reader, key, " is not the list of whole numbers it should be");
}
