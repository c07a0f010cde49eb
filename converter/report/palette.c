#include "converter/report/palette.h"

#include <math.h>
#include <stdint.h>

enum { LIGHT, DARK };

static const uint32_t roles[][2] = {
    [PBITC_NO_COLOUR] = {0x000000, 0x000000}, [PBITC_INK] = {0x1b1f24, 0xe8edf2},
    [PBITC_MUTED] = {0x57606a, 0xa0abb7},     [PBITC_GRID] = {0xe1e5ea, 0x2d343c},
    [PBITC_PAPER] = {0xffffff, 0x161b21},     [PBITC_TWIN] = {0x00796b, 0x4fc3b0},
    [PBITC_GOOD] = {0x1a7f37, 0x57c26e},      [PBITC_WRONG] = {0xb3261e, 0xff8a80},
};

/// Matplotlib's plasma, the part that stands out against the paper; few draws first.
static const uint32_t series[][2] = {
    {0xf2844b, 0xa83fa9}, {0xe16462, 0xc24f8f}, {0xcc4778, 0xd8606f}, {0xb12a90, 0xe97a58},
    {0x8f0da4, 0xf4943f}, {0x6a00a8, 0xfbae30}, {0x41049d, 0xfccb26}, {0x0d0887, 0xf3ee27},
};

/// Pale to deep on light paper, deep to pale on dark: high values stand out on both.
static const uint32_t ramps[2][6] = {
    [LIGHT] = {0xf3f6e6, 0xcfe5c6, 0x90cdbd, 0x49a5b8, 0x2b6fa5, 0x1c3270},
    [DARK] = {0x1f2731, 0x233f66, 0x2a6389, 0x3f8f9d, 0x7fbfa6, 0xd9edb4},
};
enum { ANCHORS = sizeof(ramps[0]) / sizeof(ramps[0][0]) };

static struct pbitc_rgb from_hex(uint32_t hex)
{
    return (struct pbitc_rgb){(hex >> 16) / 255.0, (hex >> 8 & 255) / 255.0, (hex & 255) / 255.0};
}

static struct pbitc_rgb on_ramp(int step, int dark)
{
    double place = (double)step * (ANCHORS - 1) / (PBITC_RAMP_STEPS - 1);
    int anchor = (int)fmin(place, ANCHORS - 2);
    double share = place - anchor;
    struct pbitc_rgb a = from_hex(ramps[dark][anchor]), b = from_hex(ramps[dark][anchor + 1]);
    return (struct pbitc_rgb){a.red + share * (b.red - a.red), a.green + share * (b.green - a.green),
                              a.blue + share * (b.blue - a.blue)};
}

/// Relative luminance as WCAG 2 defines it.
static double luminance(struct pbitc_rgb rgb)
{
    const double channels[] = {rgb.red, rgb.green, rgb.blue}, weights[] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += weights[i] *
               (channels[i] <= 0.04045 ? channels[i] / 12.92 : pow((channels[i] + 0.055) / 1.055, 2.4));
    return sum;
}

struct pbitc_rgb pbitc_colour(int colour, int dark)
{
    dark = dark ? DARK : LIGHT;
    if (colour >= PBITC_ON_RAMP) {
        // Black or white, whichever has more contrast; they are equal at 0.179.
        double light = luminance(on_ramp(colour - PBITC_ON_RAMP, dark));
        return from_hex(light > 0.179 ? 0x10151a : 0xffffff);
    }
    if (colour >= PBITC_RAMP)
        return on_ramp(colour - PBITC_RAMP, dark);
    return from_hex(colour >= PBITC_SERIES ? series[colour - PBITC_SERIES][dark] : roles[colour][dark]);
}

void pbitc_colour_write(FILE *stream, int colour, int dark)
{
    struct pbitc_rgb rgb = pbitc_colour(colour, dark);
    fprintf(stream, "#%02x%02x%02x", (unsigned)lround(255 * rgb.red), (unsigned)lround(255 * rgb.green),
            (unsigned)lround(255 * rgb.blue));
}

void pbitc_palette_write_css(FILE *stream, int dark)
{
    for (int colour = PBITC_INK; colour < PBITC_COLOUR_COUNT; colour++) {
        fprintf(stream, PBITC_COLOUR_VARIABLE ":", colour);
        pbitc_colour_write(stream, colour, dark);
        fputc(';', stream);
    }
}

int pbitc_series_colour(size_t index, size_t count)
{
    double place = count > 1 ? (double)index / (double)(count - 1) : 1;
    return PBITC_SERIES + (int)lround(place * (PBITC_SERIES_STEPS - 1));
}

int pbitc_ramp_colour(double fraction)
{
    return PBITC_RAMP + (int)lround(fmin(fmax(fraction, 0), 1) * (PBITC_RAMP_STEPS - 1));
}
