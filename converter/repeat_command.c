#include "converter/repeat_command.h"

#include "converter/energy/energy_constants.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// A word as a shell reads it.
static void write_word(FILE *stream, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,:=+-@%";
    fputc(' ', stream);
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, stream);
        return;
    }
    fputc('\'', stream);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, stream);
    fputc('\'', stream);
}

static void write_option(FILE *stream, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(stream, " --%s", name);
    write_word(stream, value);
}

static void write_list(FILE *stream, const char *name, const uint32_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0)
            fprintf(stream, " --%s %" PRIu32, name, list[i]);
        else
            fprintf(stream, ",%" PRIu32, list[i]);
    }
}

static const char *finish(FILE *stream, char **text, struct pbitc_arena *arena)
{
    bool good = stream && fclose(stream) == 0;
    const char *copy = good ? pbitc_arena_copy_string(arena, *text, strlen(*text)) : NULL;
    free(*text);
    return copy;
}

const char *pbitc_repeat_command(const struct pbitc_eval_arguments *arguments, bool is_pbit,
                                 struct pbitc_arena *arena)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    fputs("pbitc eval", stream);
    write_word(stream, arguments->model);
    write_option(stream, "data", arguments->data);
    if (arguments->limit)
        fprintf(stream, " --limit %" PRId64, arguments->limit);
    if (is_pbit) {
        write_list(stream, "samples", arguments->samples, arguments->samples_count);
        if (arguments->confidence_count)
            fprintf(stream, ",auto --max-samples %" PRIu32, arguments->stop_samples);
        write_option(stream, "confidence", arguments->confidence_text);
        write_list(stream, "draws", arguments->draws, arguments->draws_count);
        fprintf(stream, " --seeds %" PRId64 " --seed %" PRId64, arguments->seeds > 0 ? arguments->seeds : 1,
                arguments->seed > 0 ? arguments->seed : 0);
        if (arguments->deterministic)
            fputs(" --deterministic", stream);
    }
    write_option(stream, "baseline", arguments->baseline);
    write_option(stream, "target", arguments->target_text);
    if (arguments->preset >= 0)
        write_option(stream, "preset", pbitc_energy_preset_names[arguments->preset]);
    write_option(stream, "constants", arguments->constants);
    if (arguments->report || arguments->shard)
        fputs(" --report report", stream);
    return finish(stream, &text, arena);
}

const char *pbitc_repeat_with_gates(const char *command, const struct pbitc_gates *gates,
                                    struct pbitc_arena *arena)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    fputs(command, stream);
    for (size_t i = 0; i < gates->cell_count; i++)
        write_option(stream, gates->cells[i].is_drop ? "max-drop" : "min-accuracy", gates->cells[i].text);
    write_option(stream, "compare", gates->compare);
    if (gates->monotonic)
        fputs(" --require-monotonic", stream);
    return finish(stream, &text, arena);
}
