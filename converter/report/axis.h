// Where values stand in a picture, and which of them are written beside it.
#ifndef PBITC_AXIS_H
#define PBITC_AXIS_H

#include <stddef.h>

enum pbitc_scale {
    PBITC_LINEAR,
    PBITC_LOGARITHMIC,
    PBITC_ERROR_LOGARITHMIC, ///< of fractions: the distance to 1 is logarithmic, so that 0.99 and 0.999 stay
                             ///< apart
};

struct pbitc_axis {
    enum pbitc_scale scale;
    double low, high; ///< values at the ends; equal: every value stands in the middle
    double from, to;  ///< places of the ends
};

/// An axis that holds the fractions low..high (0..1) with some room. Its scale is of errors when linear would
/// press the good ones together. A fraction of 1 stands as if half an image of `images` were wrong.
struct pbitc_axis pbitc_axis_of_fractions(double low, double high, size_t images, double from, double to);

/// The place of a value; values beyond an end stand at that end.
double pbitc_axis_place(const struct pbitc_axis *axis, double value);

enum { PBITC_TICKS_LIMIT = 24 };

/// Round values inside the axis, ascending; returns how many.
size_t pbitc_axis_ticks(const struct pbitc_axis *axis, double ticks[PBITC_TICKS_LIMIT]);

#endif
