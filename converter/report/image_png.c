#include "converter/report/image_png.h"

#include <stdlib.h>
#include <zlib.h>

/// For stb_image_write, whose own packing is large.
static unsigned char *compress_bytes(unsigned char *bytes, int size, int *packed_size, int level)
{
    uLongf packed = compressBound((uLong)size);
    unsigned char *out = malloc(packed);
    if (!out || compress2(out, &packed, bytes, (uLong)size, level) != Z_OK) {
        free(out);
        return NULL;
    }
    *packed_size = (int)packed;
    return out;
}

#define STBIW_ZLIB_COMPRESS compress_bytes
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

static void write_bytes(void *stream, void *bytes, int size)
{
    fwrite(bytes, 1, (size_t)size, stream);
}

bool pbitc_png_write(const uint8_t *pixels, size_t width, size_t height, size_t channels, FILE *stream)
{
    stbi_write_force_png_filter = 0; // flat areas pack best as they are
    return stbi_write_png_to_func(write_bytes, stream, (int)width, (int)height, (int)channels, pixels,
                                  (int)(width * channels));
}
