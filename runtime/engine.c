// The fast executor. Operations run one after the other, each for a whole block of instances (image and
// pass), so that dense layers read their weights once for all of them.
#include "runtime/engine.h"
#include "runtime/execute.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#ifdef __aarch64__
/// SDOT.
static int has_dot_product(void)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0; // HWCAP_ASIMDDP
#else
    return 0;
#endif
}
#endif

enum pbit_cpu pbit_cpu_present(void)
{
#ifdef __x86_64__
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("fma"))
        return PBIT_CPU_SCALAR;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return PBIT_CPU_AVX512;
    if (__builtin_cpu_supports("avx2"))
        return PBIT_CPU_AVX2;
#elif defined(__aarch64__)
    if (has_dot_product())
        return PBIT_CPU_NEON;
#endif
    return PBIT_CPU_SCALAR;
}

#define KERNELS(cpu)                                                                                         \
    pbit_packed_conv_##cpu, pbit_depthwise_##cpu, pbit_fast_seed_##cpu, pbit_fast_skip_##cpu,                \
        pbit_fast_random_##cpu, pbit_fast_neuron_##cpu, pbit_fast_maxpool_##cpu, pbit_dense_##cpu,           \
        pbit_dense_list_##cpu

const struct pbit_engine_kernels *pbit_engine_kernels(enum pbit_cpu cpu)
{
    static const struct pbit_engine_kernels kernels[PBIT_CPU_NEON + 1] = {
        [PBIT_CPU_SCALAR] = {.name = "scalar", .instruction = "", .wide_instruction = ""},
#ifdef __x86_64__
        [PBIT_CPU_AVX2] = {"avx2", "vpmaddubsw", "vpmaddwd", 8, 255, INT16_MAX / 2, KERNELS(avx2), NULL,
                           &pbit_bit_kernels_avx2},
        [PBIT_CPU_AVX512] = {"avx512", "vpdpbusd", "vpdpbusd", 16, 255, INT16_MAX, KERNELS(avx512),
                             pbit_dense_draw_avx512, &pbit_bit_kernels_avx512},
#elif defined(__aarch64__)
        [PBIT_CPU_NEON] = {"neon", "sdot", "sdot", 4, INT8_MAX, INT16_MAX, KERNELS(neon), NULL, NULL},
#endif
    };
    return (unsigned)cpu < sizeof(kernels) / sizeof(kernels[0]) ? &kernels[cpu] : NULL;
}

const char *pbit_cpu_name(enum pbit_cpu cpu)
{
    const struct pbit_engine_kernels *kernels = pbit_engine_kernels(cpu);
    return kernels && kernels->name ? kernels->name : "unknown";
}

/// AVX-512 without VBMI has no large tables.
static const struct pbit_bit_kernels *bit_kernels(const struct pbit_engine_kernels *kernels)
{
#ifdef __x86_64__
    if (kernels->bits == &pbit_bit_kernels_avx512 && !__builtin_cpu_supports("avx512vbmi"))
        return &pbit_bit_kernels_avx2;
#endif
    return kernels->bits;
}

static void describe_operation(const struct pbit_model *model, uint32_t index,
                               struct pbit_engine_operation *described)
{
    *described = (struct pbit_engine_operation){.operation = pbit_model_operation(model, index),
                                                .fused = PBIT_ENGINE_NONE};
    described->input_index = pbit_operation_input(model, &described->operation, 0);
    described->input = pbit_model_tensor(model, described->input_index);
    described->output = pbit_model_tensor(model, described->operation.output);
}

/// Scratch memory of a NEURON: the random numbers of an image. Of a CONV: the padded inputs of a block of
/// dense layers, or of one image, and the multipliers; of the scalar kernel, a row of weights.
static size_t scratch_of(const struct pbit_engine_operation *operation, uint32_t instances)
{
    if (operation->operation.kind == PBIT_OPERATION_NEURON)
        return operation->packed ? PBIT_NEURON_SCRATCH : 0;
    if (operation->operation.kind != PBIT_OPERATION_CONV)
        return 0;
    size_t padded = (size_t)operation->padded.height * operation->padded.width * operation->input.channels;
    if (operation->single)
        return pbit_engine_round_up(operation->output.channels * sizeof(int32_t)) +
               pbit_engine_round_up(padded);
    if (!operation->packed)
        return (size_t)pbit_operation_fan_in(&operation->operation, operation->input.channels) *
               sizeof(int16_t);
    size_t bytes = PBIT_ENGINE_INSTANCES * pbit_engine_round_up(padded),
           listed = pbit_dense_scratch(&operation->dense, instances);
    return operation->conv.channels * sizeof(int32_t) + (bytes > listed ? bytes : listed);
}

static uint32_t reader_count(const struct pbit_engine *engine, uint32_t tensor)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < engine->model.operation_count; i++)
        for (uint32_t j = 0; j < engine->operations[i].operation.input_count; j++)
            count += pbit_operation_input(&engine->model, &engine->operations[i].operation, j) == tensor;
    for (uint32_t o = 0; o < engine->model.output_count; o++)
        count += pbit_output_tensor(&engine->model, o) == tensor;
    return count;
}

/// A MAXPOOL of 2 x 2 right after the CONV of an image, which stays where it is, is one loop with it.
static void fuse_pools(const struct pbit_engine *engine)
{
    for (uint32_t i = 1; i < engine->model.operation_count; i++) {
        struct pbit_engine_operation *conv = &engine->operations[i - 1], *pool = &engine->operations[i];
        const struct pbit_window *w = &pool->operation.window;
        if (pool->operation.kind != PBIT_OPERATION_MAXPOOL || conv->operation.kind != PBIT_OPERATION_CONV ||
            pool->input_index != conv->operation.output || conv->input_index >= engine->model.input_count ||
            !conv->packed || conv->conv.factored || w->kernel_y != 2 || w->kernel_x != 2 ||
            w->stride_y != 2 || w->stride_x != 2 ||
            !pbit_pool_is_inside(&pool->operation, &pool->input, &pool->output) || w->dilation_y != 1 ||
            w->dilation_x != 1 || reader_count(engine, pool->input_index) != 1)
            continue;
        conv->fused = i;
        pool->fused = i - 1;
    }
}

/// A NEURON right after the dense layer that it alone reads draws from its sums.
static void fuse_neurons(const struct pbit_engine *engine)
{
    for (uint32_t i = 1; i < engine->model.operation_count; i++) {
        struct pbit_engine_operation *conv = &engine->operations[i - 1], *neuron = &engine->operations[i];
        if (neuron->operation.kind != PBIT_OPERATION_NEURON ||
            neuron->operation.neuron == PBIT_NEURON_MULTIBIT ||
            neuron->operation.function == PBIT_FUNCTION_CURVE || !neuron->packed ||
            conv->operation.kind != PBIT_OPERATION_CONV || neuron->input_index != conv->operation.output ||
            !engine->kernels->draw_dense || !conv->dense.rows ||
            reader_count(engine, neuron->input_index) != 1 ||
            !pbit_fill_thresholds(conv->thresholds, conv, neuron))
            continue;
        conv->fused = i;
        neuron->fused = i - 1;
    }
}

/// Many instances that stay in cache hide what their operations wait for. Layers on bits have planes for
/// PBIT_ENGINE_INSTANCES.
static uint32_t count_instances(const struct pbit_model *model, const struct pbit_bit_plan *plan)
{
    enum { SMALL = 1 << 13 };
    for (uint32_t i = 0; i < plan->operations; i++)
        if (plan->entry[i].stage)
            return PBIT_ENGINE_INSTANCES;
    return pbit_header_field(model, PBIT_HEADER_WORKSPACE) <= SMALL ? PBIT_ENGINE_SMALL_INSTANCES
                                                                    : PBIT_ENGINE_INSTANCES;
}

/// Builds the engine in `memory`, or counts its bytes.
static struct pbit_engine *build(const struct pbit_model *model, enum pbit_cpu cpu,
                                 struct pbit_engine_memory *memory)
{
    const struct pbit_engine_kernels *kernels = pbit_engine_kernels(cpu);
    const struct pbit_bit_kernels *bits = bit_kernels(kernels);
    struct pbit_bit_plan plan;
    pbit_bit_plan_make(model, bits ? bits->group : 0, &plan);
    uint32_t instances = count_instances(model, &plan);
    struct pbit_engine *engine = pbit_engine_take(memory, sizeof(*engine));
    struct pbit_engine_operation *operations =
        pbit_engine_take(memory, model->operation_count * sizeof(*operations));
    uint8_t *tensor_random = pbit_engine_take(memory, model->tensor_count);
    size_t scratch = 0;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_engine_operation one = {0}, *operation = memory->base ? &operations[i] : &one;
        describe_operation(model, i, operation);
        if (kernels->lanes && operation->operation.kind == PBIT_OPERATION_CONV)
            pbit_pack_conv(memory, model, kernels->lanes, operation);
        if (kernels->lanes && operation->operation.kind == PBIT_OPERATION_NEURON)
            pbit_pack_neuron(memory, model, operation);
        pbit_pack_bits(memory, model, bits, &plan, i, operation);
        size_t own = scratch_of(operation, instances);
        scratch = own > scratch ? own : scratch;
    }
    if (!memory->base)
        return NULL;
    memset(tensor_random, 0, model->tensor_count);
    for (uint32_t i = model->first_random; i < model->operation_count; i++)
        tensor_random[operations[i].operation.output] = 1;
    *engine = (struct pbit_engine){.model = *model,
                                   .kernels = kernels,
                                   .bits = bits,
                                   .operations = operations,
                                   .tensor_random = tensor_random,
                                   .scratch_bytes = pbit_engine_round_up(scratch),
                                   .instances = instances,
                                   .tensors_bytes =
                                       pbit_engine_round_up(pbit_header_field(model, PBIT_HEADER_WORKSPACE))};
    fuse_pools(engine);
    fuse_neurons(engine);
    pbit_lanes_make_jumps(engine->jump);
    engine->bits_bytes = pbit_bit_arrange(engine, &plan);
    for (uint32_t i = 0; i < model->operation_count; i++)
        operations[i].cost = pbit_operation_cost(engine, &operations[i]);
    return engine;
}

size_t pbit_engine_bytes(const struct pbit_model *model, enum pbit_cpu cpu)
{
    struct pbit_engine_memory memory = {NULL, 0};
    if (!pbit_engine_kernels(cpu))
        return 0;
    build(model, cpu, &memory);
    return memory.used;
}

enum pbit_status pbit_engine_create(const struct pbit_model *model, enum pbit_cpu cpu, void *memory,
                                    size_t bytes, const struct pbit_engine **engine)
{
    if (!model || !engine || !memory || (uintptr_t)memory % PBIT_ENGINE_ALIGNMENT ||
        !pbit_engine_kernels(cpu))
        return PBIT_ERROR_ARGUMENT;
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name)
        return PBIT_ERROR_UNSUPPORTED;
    if (bytes < pbit_engine_bytes(model, cpu))
        return PBIT_ERROR_WORKSPACE;
    struct pbit_engine_memory taken = {memory, 0};
    *engine = build(model, cpu, &taken);
    return PBIT_OK;
}

/// Images and passes that run at once, so that what they share stays in cache.
static size_t images_at_once(size_t images)
{
    return images < PBIT_ENGINE_INSTANCES ? images : PBIT_ENGINE_INSTANCES;
}

/// Several only when all images do.
static uint32_t passes_at_once(const struct pbit_engine *engine, size_t images)
{
    size_t passes = images > PBIT_ENGINE_INSTANCES ? 1 : engine->instances / images;
    return (uint32_t)(passes < PBIT_ENGINE_INSTANCES ? passes : PBIT_ENGINE_INSTANCES);
}

static size_t stages_bytes(const struct pbit_engine *engine)
{
    return pbit_engine_round_up((engine->model.first_random + engine->model.operation_count) *
                                PBIT_ENGINE_PHASES * sizeof(struct pbit_stage));
}

size_t pbit_engine_workspace_bytes(const struct pbit_engine *engine, size_t images, uint32_t threads)
{
    images += images == 0;
    threads += threads == 0;
    size_t instances = images + engine->instances;
    return instances * engine->tensors_bytes + threads * engine->scratch_bytes + engine->bits_bytes +
           stages_bytes(engine) + 3 * PBIT_ENGINE_ALIGNMENT;
}

const uint8_t *pbit_block_tensor(const struct pbit_block *block, uint32_t tensor_index,
                                 const struct pbit_tensor *tensor, size_t instance)
{
    const struct pbit_engine *engine = block->engine;
    size_t image = instance / block->passes;
    if (tensor_index < engine->model.input_count)
        return block->inputs[image * engine->model.input_count + tensor_index];
    uint8_t *tensors = engine->tensor_random[tensor_index] ? block->random + instance * engine->tensors_bytes
                                                           : block->fixed + image * engine->tensors_bytes;
    return tensors + tensor->workspace_offset;
}

uint8_t *pbit_block_output(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                           size_t instance)
{
    return (uint8_t *)(uintptr_t)pbit_block_tensor(block, operation->operation.output, &operation->output,
                                                   instance);
}

/// Adds the outputs of passes first .. first + passes - 1 of the block.
static void add_outputs(const struct pbit_block *block, uint32_t first, uint32_t passes, int64_t *const *sums)
{
    const struct pbit_model *model = &block->engine->model;
    for (uint32_t o = 0; o < model->output_count; o++) {
        uint32_t index = pbit_output_tensor(model, o);
        struct pbit_tensor tensor = pbit_model_tensor(model, index);
        size_t elements = pbit_tensor_elements(&tensor),
               stride =
                   block->engine->tensor_random[index] ? block->engine->tensors_bytes / sizeof(int32_t) : 0;
        for (size_t image = 0; image < block->images; image++) {
            const int32_t *out =
                (const int32_t *)pbit_block_tensor(block, index, &tensor, image * block->passes + first);
            int64_t *sum = sums[image * model->output_count + o];
            for (size_t k = 0; k < elements; k++) {
                int64_t total = 0;
                _Pragma("GCC unroll 8") for (uint32_t pass = 0; pass < passes; pass++) total +=
                    out[pass * stride + k];
                sum[k] += total;
            }
        }
    }
}

static struct pbit_block skip_images(const struct pbit_block *whole, size_t count)
{
    struct pbit_block block = *whole;
    block.images -= count;
    block.first_image += count;
    block.inputs += count * whole->engine->model.input_count;
    block.fixed += count * whole->engine->tensors_bytes;
    return block;
}

/// Images `first` and the next ones, as many as run at once of `whole`.
static struct pbit_block take_images(const struct pbit_block *whole, size_t first)
{
    struct pbit_block block = skip_images(whole, first);
    size_t at_once = images_at_once(whole->images);
    block.images = block.images < at_once ? block.images : at_once;
    return block;
}

/// Passes first_pass .. of all images. Several passes run at once only when all images do, too. fixed: NULL,
/// or what comes before the first images.
static enum pbit_status run_some_passes(const struct pbit_block *whole, const struct pbit_block *fixed,
                                        uint32_t samples, int64_t *const *sums)
{
    const struct pbit_options *options = whole->options;
    const struct pbit_model *model = &whole->engine->model;
    struct pbit_block block = *whole;
    for (size_t first = 0; first < whole->images; first += block.images) {
        block = take_images(whole, first);
        for (size_t i = 0; i < block.images; i++)
            block.hash[i] = pbit_hash_image(options->seed, block.first_image + i);
        block.in_passes = 1;
        pbit_block_run(first == 0 ? fixed : NULL, &block);
        if (block.images < whole->images)
            add_outputs(&block, 0, 1, sums + first * model->output_count);
    }
    int all = block.images == whole->images;
    if (all && !options->after_sample)
        add_outputs(&block, 0, block.passes, sums);
    for (uint32_t pass = 0; options->after_sample && pass < whole->passes; pass++) {
        uint32_t done = whole->first_pass + pass + 1 - options->first_sample;
        if (all)
            add_outputs(&block, pass, 1, sums);
        if (options->after_sample(options->state, done, sums))
            return done < samples ? PBIT_ERROR_STOPPED : PBIT_OK;
    }
    return PBIT_OK;
}

static enum pbit_status run_passes(struct pbit_block *whole, const struct pbit_block *fixed, uint32_t samples,
                                   int64_t *const *sums)
{
    uint32_t at_once = whole->options->observe ? 1 : passes_at_once(whole->engine, whole->images);
    enum pbit_status status = PBIT_OK;
    for (uint32_t done = 0; status == PBIT_OK && done < samples; done += whole->passes) {
        whole->first_pass = whole->options->first_sample + done;
        whole->passes = samples - done < at_once ? samples - done : at_once;
        for (uint32_t i = 0; i < whole->passes; i++)
            whole->order[i] = pbit_sample_order(whole->first_pass + i);
        status = run_some_passes(whole, done == 0 ? fixed : NULL, samples, sums);
    }
    return status;
}

/// What is the same in every pass.
static void run_fixed(const struct pbit_block *whole)
{
    struct pbit_block block;
    for (size_t first = 0; first < whole->images; first += block.images) {
        block = take_images(whole, first);
        pbit_block_run(&block, NULL);
    }
}

/// Few images with many of their passes: what is drawn once per image serves them all. What is the same in
/// every pass is computed for more images, where their tensors stay in cache: dense layers read their weights
/// once.
static enum pbit_status run_all(const struct pbit_block *whole, uint32_t samples, int64_t *const *sums)
{
    enum { SMALL = 1 << 15 };
    uint32_t outputs = whole->engine->model.output_count;
    size_t few = PBIT_ENGINE_INSTANCES, passes = samples < few ? samples : few;
    while (few > 1 && few * passes > whole->engine->instances)
        few /= 2;
    size_t ahead = whole->engine->tensors_bytes <= SMALL ? PBIT_ENGINE_INSTANCES : few;
    enum pbit_status status = PBIT_OK;
    for (size_t first = 0; status == PBIT_OK && first < whole->images; first += few) {
        struct pbit_block some = skip_images(whole, first);
        some.fixed = whole->fixed + first % ahead * whole->engine->tensors_bytes; // memory that is in cache
        struct pbit_block next = some;
        next.images = next.images < ahead ? next.images : ahead;
        some.images = some.images < few ? some.images : few;
        status = run_passes(&some, first % ahead == 0 ? &next : NULL, samples, sums + first * outputs);
    }
    return status;
}

enum pbit_status pbit_engine_run(const struct pbit_engine *engine, const struct pbit_options *options,
                                 size_t images, const uint8_t *const *inputs, int64_t *const *sums,
                                 void *workspace, size_t workspace_bytes)
{
    if (!engine || !options || !inputs || !sums || !workspace || images == 0)
        return PBIT_ERROR_ARGUMENT;
    const struct pbit_model *model = &engine->model;
    if ((uintptr_t)workspace % PBIT_ENGINE_ALIGNMENT)
        return PBIT_ERROR_ARGUMENT;
    struct pbit_budget budget;
    enum pbit_status status = pbit_run_check(model, options, images, inputs, sums, &budget);
    if (status != PBIT_OK)
        return status;
    if (options->threads > 1 && !options->share)
        return PBIT_ERROR_ARGUMENT;
    if (workspace_bytes < pbit_engine_workspace_bytes(engine, images, options->threads))
        return PBIT_ERROR_WORKSPACE;
    uint8_t *fixed = workspace;
    uint8_t *random = fixed + images * engine->tensors_bytes;
    uint8_t *scratch = random + engine->instances * engine->tensors_bytes +
                       PBIT_ENGINE_ALIGNMENT; // kernels read a little beyond a tensor
    uint8_t *stages = scratch + (options->threads > 1 ? options->threads : 1) * engine->scratch_bytes;
    struct pbit_block whole = {.engine = engine,
                               .options = options,
                               .inputs = inputs,
                               .fixed = fixed,
                               .random = random,
                               .scratch = scratch,
                               .stages = (struct pbit_stage *)stages,
                               .bits = stages + stages_bytes(engine),
                               .first_image = options->image,
                               .images = images,
                               .passes = 1,
                               .draws = budget.draws,
                               .sampler = budget.sampler,
                               .on_bits = budget.draws == 1 && !options->observe};
    pbit_sums_clear(model, images, sums);
    if (!options->after_sample)
        return run_all(&whole, budget.samples, sums);
    run_fixed(&whole); // all images are to be seen after each pass
    return run_passes(&whole, NULL, budget.samples, sums);
}
