// libpbit: runs .pbit files. C11, no dependency, no allocation, no stdio, no global state, no threads of its
// own: every function may be called from any number of threads at once as long as they do not share a
// workspace. The bytes of the file and every rounding are defined in FORMAT.md.
#ifndef PBIT_H
#define PBIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PBIT_SHARED) && defined(__GNUC__)
#define PBIT_API __attribute__((visibility("default")))
#else
#define PBIT_API
#endif

/// Result of every fallible function, here and in the compiler. The numbers never change.
enum pbit_status {
    PBIT_OK = 0,
    PBIT_ERROR_ARGUMENT = 1,    ///< the caller broke the contract (NULL, misaligned, unknown option)
    PBIT_ERROR_MEMORY = 2,      ///< out of memory
    PBIT_ERROR_IO = 3,          ///< a file could not be read or written
    PBIT_ERROR_FORMAT = 4,      ///< malformed or damaged input
    PBIT_ERROR_UNSUPPORTED = 5, ///< well-formed input that this version cannot handle
    PBIT_ERROR_RANGE = 6,       ///< m, T or another number outside its limits
    PBIT_ERROR_WORKSPACE = 7,   ///< workspace too small
    PBIT_ERROR_STOPPED = 8,     ///< the caller asked to stop (signal, callback)
    PBIT_ERROR_INTERNAL = 9,    ///< a bug of ours
};

/// A short English phrase such as "out of memory"; never NULL.
PBIT_API const char *pbit_status_text(enum pbit_status status);

enum {
    PBIT_DRAWS_LIMIT = 255,     ///< largest m of the format
    PBIT_SAMPLES_LIMIT = 65535, ///< largest T of the format
    PBIT_LANES = 32,            ///< W, lanes of a layer's random number bank
};
#define PBIT_WHOLE UINT32_MAX ///< all pieces of a stage, see pbit_options.share

/// How the u of one neuron's m*T draws lie (FORMAT.md, "Sampling").
enum pbit_sampler {
    PBIT_SAMPLER_FILE = 0,       ///< the one the file names
    PBIT_SAMPLER_IID = 1,        ///< independent
    PBIT_SAMPLER_STRATIFIED = 2, ///< one draw in each of the m*T strata, in an order of the neuron's own
    PBIT_SAMPLER_MIDPOINT = 3,   ///< no randomness: the middle of each of the m strata. Only for a run: the
                                 ///< deterministic twin with m + 1 activation levels
};

/// A view of a .pbit file in memory. Fields are private; use the functions. Copying it is allowed.
struct pbit_model {
    const uint8_t *bytes;
    size_t size;
    uint32_t tensor_count, operation_count, input_count, output_count;
    uint32_t first_random; ///< operations from here on are run in every pass
};

/// Validates every byte that pbit_run will rely on and fills `model`.
/// bytes: the whole file, borrowed, must stay unchanged while `model` is used; any alignment.
/// Errors: ARGUMENT (NULL), FORMAT (damaged, truncated, inconsistent), UNSUPPORTED (newer version).
PBIT_API enum pbit_status pbit_model_open(struct pbit_model *model, const void *bytes, size_t size);

/// Why the last pbit_model_open of these bytes would fail: a phrase that names the broken rule; "" when it
/// would not. For messages to people; validates again.
PBIT_API const char *pbit_model_problem(const void *bytes, size_t size);

PBIT_API uint32_t pbit_model_max_draws(const struct pbit_model *model);   ///< largest m that cannot overflow
PBIT_API uint32_t pbit_model_max_samples(const struct pbit_model *model); ///< largest T
PBIT_API uint32_t pbit_model_default_draws(const struct pbit_model *model);
PBIT_API uint32_t pbit_model_default_samples(const struct pbit_model *model);
PBIT_API enum pbit_sampler pbit_model_sampler(const struct pbit_model *model);
/// The file's metadata: UTF-8 JSON, not NUL-terminated (FORMAT.md, "Metadata").
PBIT_API const char *pbit_model_metadata(const struct pbit_model *model, size_t *length);

/// What an input or output holds.
struct pbit_port {
    const char *name; ///< NUL-terminated, inside the file
    uint32_t height, width, channels;
    size_t elements;          ///< height * width * channels
    uint32_t rank;            ///< of the ONNX tensor without its batch dimension: 1 C, 2 C x W, 3 C x H x W
    int channels_last;        ///< the ONNX tensor is H x W x C
    int softmax, log_softmax; ///< outputs: the ONNX model applies Softmax or LogSoftmax to all elements of
                              ///< this output, which is left to the caller; their order stays
    float scale;              ///< outputs: value of one unit
};

PBIT_API struct pbit_port pbit_model_input(const struct pbit_model *model, uint32_t index);
PBIT_API struct pbit_port pbit_model_output(const struct pbit_model *model, uint32_t index);

/// Quantizes one image of input `index`: values[elements] in the ONNX layout (C x H x W, or H x W x C when
/// channels_last) to pixels[elements] in the file's H x W x C: q = clamp(round((x - offset_c) / step_c), 0,
/// 255).
PBIT_API void pbit_input_quantize(const struct pbit_model *model, uint32_t index, const float *values,
                                  uint8_t *pixels);

/// The mean over `samples` passes of output `index` as float in the ONNX layout:
/// sums[elements] (as pbit_run leaves them) * scale / samples.
PBIT_API void pbit_output_float(const struct pbit_model *model, uint32_t index, const int64_t *sums,
                                uint32_t samples, float *values);

enum pbit_operation_kind {
    PBIT_OPERATION_CONV = 1, ///< convolution or dense layer
    PBIT_OPERATION_NEURON = 2,
    PBIT_OPERATION_MAXPOOL = 3,
    PBIT_OPERATION_SUMPOOL = 4,
    PBIT_OPERATION_ADD = 5,
    PBIT_OPERATION_CONCAT = 6,
    PBIT_OPERATION_PERMUTE = 7,
};

/// One operation of the file, for listings and energy models.
struct pbit_layer {
    const char *name; ///< the ONNX node it came from
    enum pbit_operation_kind kind;
    uint32_t height, width, channels;           ///< of its output
    int random;                                 ///< runs in every pass
    uint32_t fan_in, weight_bits, weight_group; ///< CONV only
    uint64_t weights;                           ///< CONV: number of weights
    uint64_t synapses;    ///< CONV: weights read per pass, counting every output position
    int draws;            ///< NEURON: it draws p-bits or noise
    int multibit;         ///< NEURON: 8-bit output
    uint32_t draw_factor; ///< NEURON: draws m * draw_factor / 256 p-bits; 0: 8-bit output
    uint32_t amplitude;   ///< NEURON: rho (0..256) or noise amplitude (0..65536)
};

/// index: 0..model->operation_count - 1.
PBIT_API struct pbit_layer pbit_model_layer(const struct pbit_model *model, uint32_t index);

struct pbit_options {
    uint64_t seed;
    uint64_t image;            ///< index of the image: the same (seed, image) gives the same bits anywhere
    uint32_t draws;            ///< m, 1..pbit_model_max_draws; 0 = the file's default
    uint32_t samples;          ///< T, 1..pbit_model_max_samples; 0 = the file's default
    enum pbit_sampler sampler; ///< PBIT_SAMPLER_FILE = the file's
    /// The first of the passes: the sums of passes 0..a-1 and a..b-1 add up to those of 0..b-1, so that
    /// threads can share the passes of an image. first_sample + samples is at most pbit_model_max_samples.
    uint32_t first_sample;
    /// Called after each pass with the sums so far (`done` passes of them); a non-zero return stops there
    /// with PBIT_ERROR_STOPPED (PBIT_OK at the last pass) and valid sums. May be NULL.
    int (*after_sample)(void *state, uint32_t done, int64_t *const *sums);
    /// Called after each operation with its output tensor (levels: uint8_t, fixed point: int32_t, H x W x C),
    /// which is valid during the call. May be NULL.
    void (*observe)(void *state, uint32_t operation, const void *output);
    void *state; ///< handed to the callbacks
    /// pbit_engine_run calls it after an operation has run for all images and passes that run at once: for
    /// measurements. done_by: the operation whose call did the work, mostly itself. instruction: what a CONV
    /// multiplied with, "" where the compiler chose; NULL for other operations. May be NULL.
    void (*after_operation)(void *state, uint32_t operation, uint32_t done_by, const char *instruction);
    /// Threads, with the calling one, among which pbit_engine_run shares the work of each operation that is
    /// large enough; no bit depends on it. 0, 1: it works alone, as it does where `observe` or
    /// `after_operation` are there. More: `share` must be there.
    uint32_t threads;
    /// A parallel loop of the caller's: calls work(job, stage, piece) once for every stage below `stages` and
    /// every piece below `pieces`, which is at most `threads`; those of a stage at the same time where it
    /// can, but none before all of the stage before have returned and what they wrote can be read. Returns
    /// when all have. Where piece i always runs on the same thread, its caches have the weights. From stage
    /// to stage should take well below a microsecond; where it does not pay, the caller may call
    /// work(job, stage, PBIT_WHOLE) instead, once for every stage. cost: picoseconds that one thread takes
    /// for what is shared, about; the same in every run of as many images with the same m and T.
    void (*share)(void *state, uint64_t cost, uint32_t stages, uint32_t pieces,
                  void (*work)(const void *job, uint32_t stage, uint32_t piece), const void *job);
};

/// Bytes of workspace that pbit_run needs, whatever m and T.
PBIT_API size_t pbit_workspace_bytes(const struct pbit_model *model);

/// Runs one image through T passes. The sums after t passes do not depend on T: one run serves every smaller
/// T. inputs[i]: uint8 H x W x C pixels of input i.  sums[o]: int64[elements of output o], H x W x C,
/// receives the sum over the passes of the fixed-point output.  workspace: pbit_workspace_bytes bytes,
/// 16-aligned. Errors: ARGUMENT, RANGE (m or T), WORKSPACE, STOPPED.
PBIT_API enum pbit_status pbit_run(const struct pbit_model *model, const struct pbit_options *options,
                                   const uint8_t *const *inputs, int64_t *const *sums, void *workspace,
                                   size_t workspace_bytes);

/// Kinds of processor that there are kernels for. All give the same bits.
enum pbit_cpu {
    PBIT_CPU_SCALAR = 0,
    PBIT_CPU_AVX2 = 1,   ///< x86-64 with AVX2, BMI1 and FMA
    PBIT_CPU_AVX512 = 2, ///< x86-64 with AVX-512 F, BW, DQ, VL and VNNI, and FMA
    PBIT_CPU_NEON = 3,   ///< 64-bit ARM with SDOT (Armv8.2 and later)
};

PBIT_API enum pbit_cpu pbit_cpu_present(void);         ///< the best that this machine has
PBIT_API const char *pbit_cpu_name(enum pbit_cpu cpu); ///< "scalar", "avx2", "avx512", "neon"; "unknown"

/// A model whose weights are laid out for a processor: many times faster than pbit_run, with the same bits.
/// It lives in memory of the caller's, and may be shared by threads.
struct pbit_engine;

/// Bytes that pbit_engine_create needs.
PBIT_API size_t pbit_engine_bytes(const struct pbit_model *model, enum pbit_cpu cpu);

/// memory: `bytes` bytes, 64-aligned; holds the engine until the caller takes it back. The model's bytes must
/// stay too. Errors: ARGUMENT (NULL, misaligned), UNSUPPORTED (not on this machine), WORKSPACE (too few
/// bytes).
PBIT_API enum pbit_status pbit_engine_create(const struct pbit_model *model, enum pbit_cpu cpu, void *memory,
                                             size_t bytes, const struct pbit_engine **engine);

/// Bytes of workspace that pbit_engine_run needs for `images` images at a time, with `threads` as in
/// pbit_options.
PBIT_API size_t pbit_engine_workspace_bytes(const struct pbit_engine *engine, size_t images,
                                            uint32_t threads);

/// pbit_run for images options->image, options->image + 1, ... at once, some passes at a time, so that a
/// weight is fetched once for all of them. inputs[image * inputs of the model + i], sums[image * outputs of
/// the model + o]; after_sample gets all of `sums`. With observe one pass runs at a time, and an operation is
/// shown for each of the images that run together before the next.
PBIT_API enum pbit_status pbit_engine_run(const struct pbit_engine *engine,
                                          const struct pbit_options *options, size_t images,
                                          const uint8_t *const *inputs, int64_t *const *sums, void *workspace,
                                          size_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif
