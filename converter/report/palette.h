// The colours of pictures and page: names here, values for the light and the dark theme in palette.c. People
// who see fewer colours can tell them apart: the series and the ramp change in lightness all the way.
#ifndef PBITC_PALETTE_H
#define PBITC_PALETTE_H

#include <stdio.h>

enum { PBITC_SERIES_STEPS = 8, PBITC_RAMP_STEPS = 24 };

/// PBITC_SERIES + k: ordered lines, the last has the most contrast. PBITC_RAMP + k: values from low to high.
/// PBITC_ON_RAMP + k: text that can be read on PBITC_RAMP + k.
enum {
    PBITC_NO_COLOUR,
    PBITC_INK,
    PBITC_MUTED,
    PBITC_GRID,
    PBITC_PAPER,
    PBITC_TWIN,  ///< deterministic networks
    PBITC_GOOD,  ///< a gate that holds, a front
    PBITC_WRONG, ///< a gate that is broken, a mistake
    PBITC_SERIES,
    PBITC_RAMP = PBITC_SERIES + PBITC_SERIES_STEPS,
    PBITC_ON_RAMP = PBITC_RAMP + PBITC_RAMP_STEPS,
    PBITC_COLOUR_COUNT = PBITC_ON_RAMP + PBITC_RAMP_STEPS
};

struct pbitc_rgb {
    double red, green, blue; ///< 0..1
};

struct pbitc_rgb pbitc_colour(int colour, int dark);

/// The name of the colour's CSS variable, as "--c7".
#define PBITC_COLOUR_VARIABLE "--c%d"

/// "#rrggbb"
void pbitc_colour_write(FILE *stream, int colour, int dark);

/// Declares the variables of one theme, to stand between the braces of a rule.
void pbitc_palette_write_css(FILE *stream, int dark);

/// The colour of number `index` of `count` ordered series.
int pbitc_series_colour(size_t index, size_t count);

/// The colour of a fraction, which is clamped to 0..1.
int pbitc_ramp_colour(double fraction);

#endif
