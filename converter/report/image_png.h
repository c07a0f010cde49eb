// Pixels as PNG.
#ifndef PBITC_IMAGE_PNG_H
#define PBITC_IMAGE_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/// pixels[height][width][channels]; 1 to 4 channels are grey, grey and alpha, RGB, RGB and alpha. False when
/// out of memory.
bool pbitc_png_write(const uint8_t *pixels, size_t width, size_t height, size_t channels, FILE *stream);

#endif
