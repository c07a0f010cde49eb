// The time, for measuring how long something takes.
#ifndef PBITC_CLOCK_H
#define PBITC_CLOCK_H

double pbitc_clock_seconds(void); ///< of a clock that is never set

#endif
