// Folding: how many neurons and inputs each CONV stage takes at once, so that a design fits its budget.
//
// The choices of a stage and what they cost are listed once. From the smallest design on, the step that saves
// most cycles per LUT is taken again and again: until no step fits the budget, or the frame rate is reached.
#include "converter/export/verilog/verilog_cost.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// One folding of a stage.
struct choice {
    uint32_t neurons, inputs;
    double luts;
    uint64_t cycles; ///< of the whole design with the other stages at 1 x 1
};

struct choices {
    size_t count, chosen;
    bool given; ///< by --parallel
    struct choice *items;
};

struct folding {
    struct pbitc_verilog_plan *plan;
    const struct pbitc_verilog_budget *budget;
    struct pbitc_diagnostics *diagnostics;
    uint32_t samples;
    struct choices *stages; ///< [stage_count]; none but for CONV
};

static void fold_stage(struct pbitc_verilog_stage *stage, uint32_t neurons, uint32_t inputs)
{
    stage->neurons = neurons;
    stage->inputs = inputs;
}

// ---- --parallel

static struct pbitc_verilog_stage *find_stage(const struct folding *folding, const char *name, size_t length)
{
    for (uint32_t i = 0; i < folding->plan->stage_count; i++) {
        struct pbitc_verilog_stage *stage = &folding->plan->stages[i];
        const char *other = pbitc_verilog_stage_name(folding->plan, stage);
        if (stage->kind == PBITC_VERILOG_CONV && strlen(other) == length && !memcmp(other, name, length))
            return stage;
    }
    return NULL;
}

static enum pbit_status report_unknown_layer(const struct folding *folding, const char *name, size_t length)
{
    char names[512];
    size_t used = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < folding->plan->stage_count; i++) {
        const struct pbitc_verilog_stage *stage = &folding->plan->stages[i];
        if (stage->kind == PBITC_VERILOG_CONV && used < sizeof(names))
            used +=
                (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "the layers are ",
                                 pbitc_verilog_stage_name(folding->plan, stage));
    }
    return pbitc_report(folding->diagnostics, PBIT_ERROR_ARGUMENT, NULL, NULL, 0, names,
                        "--parallel: there is no layer '%.*s'", (int)length, name);
}

static bool read_number(const char **text, uint32_t *number)
{
    char *end;
    unsigned long value = **text >= '1' && **text <= '9' ? strtoul(*text, &end, 10) : 0;
    if (value == 0 || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    *text = end;
    return true;
}

/// One LAYER=NEURONSxINPUTS of `length` characters. The name may hold '=' itself.
static enum pbit_status fold_as_given(struct folding *folding, const char *item, size_t length)
{
    size_t name = length;
    while (name > 0 && item[name - 1] != '=')
        name--;
    const char *text = item + name;
    uint32_t neurons, inputs;
    bool good = name > 1 && read_number(&text, &neurons) && *text++ == 'x' && read_number(&text, &inputs) &&
                text == item + length;
    if (!good)
        return pbitc_report(folding->diagnostics, PBIT_ERROR_ARGUMENT, NULL, NULL, 0,
                            "an example is fc1=8x16", "--parallel: '%.*s' is not LAYER=NEURONSxINPUTS",
                            (int)length, item);
    struct pbitc_verilog_stage *stage = find_stage(folding, item, name - 1);
    if (!stage)
        return report_unknown_layer(folding, item, name - 1);
    const char *problem = pbitc_verilog_folding_problem(stage, neurons, inputs);
    if (problem)
        return pbitc_report(
            folding->diagnostics, PBIT_ERROR_ARGUMENT, pbitc_verilog_stage_name(folding->plan, stage), NULL,
            0, NULL, "--parallel: %" PRIu32 "x%" PRIu32 " cannot be built: %s", neurons, inputs, problem);
    fold_stage(stage, neurons, inputs);
    folding->stages[stage - folding->plan->stages].given = true;
    return PBIT_OK;
}

static enum pbit_status read_parallel(struct folding *folding)
{
    enum pbit_status status = PBIT_OK;
    const char *item = folding->budget->parallel;
    while (item) {
        size_t length = strcspn(item, ",");
        enum pbit_status one = fold_as_given(folding, item, length);
        status = one == PBIT_OK ? status : one;
        item = item[length] ? item + length + 1 : NULL;
    }
    return status;
}

// ---- the choices of each stage

static bool add_choice(struct folding *folding, uint32_t index, uint32_t neurons, uint32_t inputs)
{
    struct choices *choices = &folding->stages[index];
    struct pbitc_verilog_stage *stage = &folding->plan->stages[index];
    struct choice *items = realloc(choices->items, (choices->count + 1) * sizeof(*items));
    if (!items)
        return false;
    fold_stage(stage, neurons, inputs);
    pbitc_verilog_plan_derive(folding->plan);
    choices->items = items;
    items[choices->count++] = (struct choice){
        .neurons = neurons,
        .inputs = inputs,
        .luts = pbitc_verilog_stage_cost(folding->plan, stage).luts,
        .cycles = pbitc_verilog_cycles(folding->plan, folding->samples),
    };
    return true;
}

/// The next larger number of neurons that needs fewer blocks of the group's channels.
static uint32_t next_neurons(uint32_t neurons, uint32_t limit)
{
    uint32_t blocks = (limit + neurons - 1) / neurons - 1;
    return (limit + blocks - 1) / blocks;
}

static bool list_choices(struct folding *folding, uint32_t index)
{
    struct pbitc_verilog_stage *stage = &folding->plan->stages[index];
    if (stage->kind != PBITC_VERILOG_CONV)
        return true;
    if (folding->stages[index].given)
        return add_choice(folding, index, stage->neurons, stage->inputs);
    for (uint32_t neurons = 1;; neurons = next_neurons(neurons, stage->neurons_limit)) {
        for (uint32_t inputs = 1; inputs <= stage->inputs_limit; inputs *= 2)
            if (!pbitc_verilog_folding_problem(stage, neurons, inputs) &&
                !add_choice(folding, index, neurons, inputs))
                return false;
        if (neurons >= stage->neurons_limit)
            break;
    }
    fold_stage(stage, 1, 1);
    return true;
}

// ---- choosing

/// Adopts the choices and returns the cycles of the design; *luts is its size.
static uint64_t adopt(struct folding *folding, double *luts)
{
    struct pbitc_verilog_plan *plan = folding->plan;
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        const struct choices *choices = &folding->stages[i];
        if (choices->count)
            fold_stage(&plan->stages[i], choices->items[choices->chosen].neurons,
                       choices->items[choices->chosen].inputs);
    }
    pbitc_verilog_plan_derive(plan);
    *luts = pbitc_verilog_plan_cost(plan).luts;
    return pbitc_verilog_cycles(plan, folding->samples);
}

static void choose_smallest(struct folding *folding)
{
    for (uint32_t i = 0; i < folding->plan->stage_count; i++) {
        struct choices *choices = &folding->stages[i];
        for (size_t k = 0; k < choices->count; k++)
            if (choices->items[k].luts < choices->items[choices->chosen].luts)
                choices->chosen = k;
    }
}

/// Takes the step that saves most cycles per LUT and costs at most `room` LUTs. False when there is none.
static bool take_best_step(struct folding *folding, double room)
{
    double best = 0;
    struct choices *where = NULL;
    size_t what = 0;
    for (uint32_t i = 0; i < folding->plan->stage_count; i++) {
        struct choices *choices = &folding->stages[i];
        for (size_t k = 0; k < choices->count; k++) {
            const struct choice *now = &choices->items[choices->chosen], *next = &choices->items[k];
            double luts = next->luts - now->luts;
            if (next->cycles >= now->cycles || luts > room)
                continue;
            // What costs nothing counts as a fraction of a LUT, so that larger savings are still better.
            double gain = (double)(now->cycles - next->cycles) / (luts < 0.01 ? 0.01 : luts);
            if (gain > best) {
                best = gain;
                where = choices;
                what = k;
            }
        }
    }
    if (where)
        where->chosen = what;
    return where != NULL;
}

/// The last step is often larger than it need be: makes stages smaller again while `limit` cycles suffice.
static void give_back(struct folding *folding, uint64_t limit)
{
    double luts;
    uint64_t cycles = adopt(folding, &luts);
    for (uint32_t i = 0; i < folding->plan->stage_count; i++) {
        struct choices *choices = &folding->stages[i];
        for (size_t k = 0; k < choices->count; k++) {
            const struct choice *now = &choices->items[choices->chosen], *other = &choices->items[k];
            if (other->luts < now->luts && cycles - now->cycles + other->cycles <= limit) {
                cycles = cycles - now->cycles + other->cycles;
                choices->chosen = k;
            }
        }
    }
}

/// Cycles of a frame that --fps allows, at least 1; 0 when it was not given.
static uint64_t cycles_limit(const struct folding *folding)
{
    const struct pbitc_verilog_budget *budget = folding->budget;
    if (!(budget->frames_per_second > 0))
        return 0;
    double limit = budget->clock_mhz * 1e6 / budget->frames_per_second;
    return limit < 1 ? 1 : limit < 1e18 ? (uint64_t)limit : UINT64_MAX;
}

static const char *largest_stage(const struct folding *folding, double *luts)
{
    const struct pbitc_verilog_plan *plan = folding->plan;
    uint32_t largest = 0;
    *luts = 0;
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        double cost = pbitc_verilog_stage_cost(plan, &plan->stages[i]).luts;
        if (cost > *luts) {
            *luts = cost;
            largest = i;
        }
    }
    return pbitc_verilog_stage_name(plan, &plan->stages[largest]);
}

static const char *slowest_stage(const struct folding *folding, uint64_t *cycles)
{
    const struct pbitc_verilog_plan *plan = folding->plan;
    uint32_t slowest = 0;
    *cycles = 0;
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[i];
        uint64_t taken = pbitc_verilog_stage_cycles(stage, 1);
        if (stage->random) {
            uint32_t rest = folding->samples % plan->tile;
            taken = folding->samples / plan->tile * pbitc_verilog_stage_cycles(stage, plan->tile) +
                    (rest ? pbitc_verilog_stage_cycles(stage, rest) : 0);
        }
        if (taken > *cycles) {
            *cycles = taken;
            slowest = i;
        }
    }
    return pbitc_verilog_stage_name(plan, &plan->stages[slowest]);
}

static enum pbit_status check_budget(const struct folding *folding, uint64_t cycles, double luts)
{
    const struct pbitc_verilog_budget *budget = folding->budget;
    enum pbit_status status = PBIT_OK;
    uint64_t limit = cycles_limit(folding), slowest;
    double largest;
    if (budget->luts && luts > (double)budget->luts) {
        const char *name = largest_stage(folding, &largest);
        status =
            pbitc_report(folding->diagnostics, PBIT_ERROR_RANGE, name, NULL, 0,
                         "raise the budget, or convert with narrower --weights",
                         "--budget-luts %" PRIu64 ": the smallest design takes about %.0f LUTs, %.0f of them "
                         "in this layer",
                         budget->luts, luts, largest);
    }
    if (limit && cycles > limit) {
        const char *name = slowest_stage(folding, &slowest);
        status =
            pbitc_report(folding->diagnostics, PBIT_ERROR_RANGE, name, NULL, 0,
                         budget->luts ? "raise --budget-luts or --clock, or ask for fewer frames"
                                      : "raise --clock, or ask for fewer frames",
                         "--fps %g: the fastest design that can be built takes %" PRIu64 " cycles a frame, "
                         "%" PRIu64 " of them in this layer: %.4g frames per second at %g MHz",
                         budget->frames_per_second, cycles, slowest, budget->clock_mhz * 1e6 / (double)cycles,
                         budget->clock_mhz);
    }
    return status;
}

static enum pbit_status choose(struct folding *folding)
{
    uint64_t limit = cycles_limit(folding);
    double room = folding->budget->luts ? (double)folding->budget->luts : 1e18, luts;
    choose_smallest(folding);
    uint64_t cycles = adopt(folding, &luts);
    if (folding->budget->luts || limit)
        while (cycles > limit && take_best_step(folding, room - luts))
            cycles = adopt(folding, &luts);
    if (limit && cycles <= limit)
        give_back(folding, limit);
    cycles = adopt(folding, &luts);
    return check_budget(folding, cycles, luts);
}

enum pbit_status pbitc_verilog_fold(struct pbitc_verilog_plan *plan,
                                    const struct pbitc_verilog_budget *budget,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct folding folding = {
        .plan = plan,
        .budget = budget,
        .diagnostics = diagnostics,
        .samples = budget->samples ? budget->samples : pbit_model_default_samples(plan->model),
        .stages = calloc(plan->stage_count, sizeof(*folding.stages)),
    };
    enum pbit_status status = folding.stages ? read_parallel(&folding) : PBIT_ERROR_MEMORY;
    for (uint32_t i = 0; i < plan->stage_count && status == PBIT_OK; i++)
        status = list_choices(&folding, i) ? PBIT_OK : PBIT_ERROR_MEMORY;
    if (status == PBIT_OK)
        status = choose(&folding);
    for (uint32_t i = 0; i < plan->stage_count && folding.stages; i++)
        free(folding.stages[i].items);
    free(folding.stages);
    return status;
}
