#include "converter/file.h"
#include "converter/json.h"
#include "converter/report/accuracy_report.h"

static void write_hash(struct pbitc_json *json, uint64_t hash)
{
    char text[PBITC_HASH_TEXT];
    pbitc_json_string(json, "hash", pbitc_hash_text(hash, text));
}

static void write_interval(struct pbitc_json *json, struct pbitc_interval interval)
{
    pbitc_json_open_array(json, "interval");
    pbitc_json_real(json, NULL, interval.low);
    pbitc_json_real(json, NULL, interval.high);
    pbitc_json_close_array(json);
}

static void write_model(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->has_model) {
        pbitc_json_null(json, "model");
        return;
    }
    pbitc_json_open_object(json, "model");
    write_hash(json, report->model_hash);
    pbitc_json_close_object(json);
}

static void write_baseline(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->has_baseline) {
        pbitc_json_null(json, "baseline");
        return;
    }
    pbitc_json_open_object(json, "baseline");
    pbitc_json_real(json, "accuracy", report->baseline.accuracy);
    write_interval(json, report->baseline.interval);
    write_hash(json, report->baseline_hash);
    pbitc_json_close_object(json);
}

static void write_cell(struct pbitc_json *json, const struct pbitc_accuracy_report *report,
                       const struct pbitc_accuracy_cell *cell)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_integer(json, "samples", cell->samples);
    pbitc_json_integer(json, "draws", cell->draws);
    pbitc_json_integer(json, "draws_times_samples", (int64_t)cell->draws * cell->samples);
    pbitc_json_real(json, "accuracy", cell->accuracy);
    pbitc_json_open_array(json, "accuracy_by_seed");
    for (size_t seed = 0; seed < report->seed_count; seed++)
        pbitc_json_real(json, NULL, cell->by_seed[seed]);
    pbitc_json_close_array(json);
    write_interval(json, cell->interval);
    if (report->has_baseline) {
        pbitc_json_real(json, "drop", cell->drop);
        pbitc_json_real(json, "agreement", cell->agreement);
    } else {
        pbitc_json_null(json, "drop");
        pbitc_json_null(json, "agreement");
    }
    pbitc_json_close_object(json);
}

void pbitc_report_write_json(const struct pbitc_accuracy_report *report, FILE *stream)
{
    struct pbitc_json json = {.stream = stream, .indent = 2};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", PBITC_REPORT_SCHEMA);
    pbitc_json_string(&json, "tool", "pbitc " PBITC_VERSION);
    write_model(&json, report);
    pbitc_json_open_object(&json, "data");
    write_hash(&json, report->data_hash);
    pbitc_json_close_object(&json);
    pbitc_json_integer(&json, "images", (int64_t)report->images);
    pbitc_json_open_array(&json, "seeds");
    for (size_t seed = 0; seed < report->seed_count; seed++)
        pbitc_json_integer(&json, NULL, (int64_t)(report->first_seed + seed));
    pbitc_json_close_array(&json);
    write_baseline(&json, report);
    pbitc_json_open_array(&json, "cells");
    for (size_t i = 0; i < report->cell_count; i++)
        write_cell(&json, report, &report->cells[i]);
    pbitc_json_close_array(&json);
    pbitc_json_close_object(&json);
}
