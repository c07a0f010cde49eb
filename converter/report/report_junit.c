// The gates as JUnit XML: one test case each, as CI systems list them. Elements and attributes are those that
// the common consumers share (tests/report/junit.xsd); properties stand in the suite.
#include "converter/file.h"
#include "converter/report/accuracy_report.h"
#include "converter/report/markup.h"

#include <inttypes.h>

static void write_property(FILE *stream, const char *name, const char *value)
{
    fprintf(stream, "      <property name=\"%s\" value=\"", name);
    pbitc_markup_write(stream, value);
    fputs("\"/>\n", stream);
}

static void write_hash(FILE *stream, const char *name, uint64_t hash)
{
    char text[PBITC_HASH_TEXT];
    write_property(stream, name, pbitc_hash_text(hash, text));
}

static void write_number(FILE *stream, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    write_property(stream, name, text);
}

static void write_properties(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fputs("    <properties>\n", stream);
    write_property(stream, "tool", report->tool);
    write_property(stream, "command", report->command);
    write_number(stream, "images", report->images);
    write_number(stream, "measured_images", report->measured_images);
    write_property(stream, "partial", report->partial ? "true" : "false");
    write_hash(stream, "data_hash", report->data_hash);
    write_hash(stream, "source_hash", report->source_hash);
    if (report->has_baseline)
        write_hash(stream, "baseline_hash", report->baseline_hash);
    if (report->has_model) {
        write_property(stream, "model", report->model_name);
        write_hash(stream, "model_hash", report->model_hash);
        write_property(stream, "origin_hash", report->origin_hash);
        write_hash(stream, "recipe_hash", report->recipe_hash);
        for (size_t i = 0; i < report->seed_count; i++)
            write_number(stream, "seed", report->first_seed + i);
    }
    fputs("    </properties>\n", stream);
}

static void write_gate(const struct pbitc_gate_outcome *gate, FILE *stream)
{
    fputs("    <testcase classname=\"pbitc.eval\" name=\"", stream);
    pbitc_markup_write(stream, gate->option);
    fputs(gate->passed ? "\">\n      <system-out>" : "\">\n      <failure type=\"gate\" message=\"", stream);
    pbitc_markup_write(stream, gate->message);
    if (!gate->passed) {
        fputs("\">", stream);
        pbitc_markup_write(stream, gate->message);
    }
    fputs(gate->passed ? "</system-out>\n    </testcase>\n" : "</failure>\n    </testcase>\n", stream);
}

void pbitc_report_write_junit(const struct pbitc_accuracy_report *report, FILE *stream)
{
    size_t broken = 0;
    for (size_t i = 0; i < report->gate_count; i++)
        broken += !report->gates[i].passed;
    fprintf(stream,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuites name=\"pbitc eval\" tests=\"%zu\" failures=\"%zu\" errors=\"0\">\n"
            "  <testsuite name=\"gates\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\">\n",
            report->gate_count, broken, report->gate_count, broken);
    write_properties(report, stream);
    for (size_t i = 0; i < report->gate_count; i++)
        write_gate(&report->gates[i], stream);
    fputs("  </testsuite>\n</testsuites>\n", stream);
}
