// What `pbitc convert` says in the end: text on standard error, JSON on standard output.
#ifndef PBITC_CONVERSION_SUMMARY_H
#define PBITC_CONVERSION_SUMMARY_H

#include "converter/search_recipe.h"

/// The result, and how it came about.
struct pbitc_made {
    const struct pbitc_search *search; ///< NULL: the options said it all
    size_t images;                     ///< that calibrated
    struct pbitc_converted converted;
};

/// `model` is what libpbit makes of the result. Errors: MEMORY, those of
/// reading --constants.
enum pbit_status pbitc_conversion_summarize(const struct pbitc_conversion *conversion,
                                            const struct pbitc_made *made, const struct pbit_model *model);

#endif
