// A writer of JSON text: members in the order of the calls, numbers in the fewest digits that read back
// equal, so the same results give the same bytes. (Reading is cJSON's.)
#ifndef PBITC_JSON_H
#define PBITC_JSON_H

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PBITC_JSON_DEPTH = 16 };

/// State; start from {.stream = ..., .indent = ...}. Whether writing succeeded is the stream's to say
/// (ferror).
struct pbitc_json {
    FILE *stream;
    int indent; ///< containers nested less deep than this put each member on a line of its own; 0: all on one
                ///< line
    int depth;
    bool filled[PBITC_JSON_DEPTH]; ///< by depth: a member was written
};

/// `key` is the member's name inside an object and NULL inside an array and at the top.
void pbitc_json_open_object(struct pbitc_json *json, const char *key);
void pbitc_json_close_object(struct pbitc_json *json);
void pbitc_json_open_array(struct pbitc_json *json, const char *key);
void pbitc_json_close_array(struct pbitc_json *json);
void pbitc_json_string(struct pbitc_json *json, const char *key, const char *text); ///< NULL writes null
void pbitc_json_integer(struct pbitc_json *json, const char *key, int64_t value);
void pbitc_json_real(struct pbitc_json *json, const char *key, double value); ///< not finite writes null
void pbitc_json_bool(struct pbitc_json *json, const char *key, bool value);
void pbitc_json_null(struct pbitc_json *json, const char *key);
/// A whole value that cJSON has read; NULL writes null. What is nested too deep for this writer becomes null.
void pbitc_json_parsed(struct pbitc_json *json, const char *key, const cJSON *value);

#endif
