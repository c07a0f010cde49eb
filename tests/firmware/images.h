// The test images as bytes of flash: IMAGES_FILE holds them, IMAGE_COUNT says how many.
#ifndef IMAGES_H
#define IMAGES_H

#include <stdint.h>

__asm__(".section .rodata.images, \"a\"\n"
        ".global test_images\n"
        "test_images:\n"
        ".incbin \"" IMAGES_FILE "\"\n"
        ".previous\n");
extern const uint8_t test_images[];

#endif
