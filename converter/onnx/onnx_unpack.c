// Protobuf decoding that hostile files cannot blow up: what the decoder may allocate is bounded by the file's
// size.
#include "converter/onnx/onnx_importer.h"

/// The decoder needs up to 28 bytes of working memory per byte of a list of small numbers that is not packed,
/// and far less for anything else that real models hold.
enum { BYTES_PER_BYTE = 32 };
static const size_t BASE_BYTES = (size_t)64 << 20;

static void *allocate(void *state, size_t bytes)
{
    struct pbitc_onnx_memory *memory = state;
    if (bytes > memory->left) {
        memory->over_limit = true;
        return NULL;
    }
    void *block = pbitc_allocate(memory->allocator, bytes ? bytes : 1);
    if (block)
        memory->left -= bytes;
    else
        memory->exhausted = true;
    return block;
}

static void release(void *state, void *block)
{
    const struct pbitc_onnx_memory *memory = state;
    pbitc_release(memory->allocator, block);
}

enum pbit_status pbitc_onnx_unpack(const void *bytes, size_t size, struct pbitc_onnx_memory *memory,
                                   struct pbitc_diagnostics *diagnostics, Onnx__ModelProto **model)
{
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = memory};
    memory->left =
        size < (SIZE_MAX - BASE_BYTES) / BYTES_PER_BYTE ? BASE_BYTES + size * BYTES_PER_BYTE : SIZE_MAX;
    *model = onnx__model_proto__unpack(&allocator, size, bytes);
    if (*model)
        return PBIT_OK;
    if (memory->exhausted)
        return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    if (memory->over_limit)
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "check where the file comes from",
                            "the model asks for far more memory than its %zu bytes can justify", size);
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                        "check that the file is a complete ONNX model",
                        "not an ONNX model: the protobuf encoding is damaged or cut off");
}

void pbitc_onnx_free(Onnx__ModelProto *model, struct pbitc_onnx_memory *memory)
{
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = memory};
    onnx__model_proto__free_unpacked(model, &allocator);
}

enum pbit_status pbitc_onnx_unpack_graph(const void *bytes, size_t size, struct pbitc_onnx_memory *memory,
                                         Onnx__GraphProto **graph)
{
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = memory};
    *graph = onnx__graph_proto__unpack(&allocator, size, bytes);
    return *graph ? PBIT_OK : memory->exhausted ? PBIT_ERROR_MEMORY : PBIT_ERROR_FORMAT;
}

void pbitc_onnx_free_graph(Onnx__GraphProto *graph, struct pbitc_onnx_memory *memory)
{
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = memory};
    onnx__graph_proto__free_unpacked(graph, &allocator);
}
