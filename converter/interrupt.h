// SIGINT and SIGTERM set a flag that long work looks at, so that a command stops without leaving half a file.
#ifndef PBITC_INTERRUPT_H
#define PBITC_INTERRUPT_H

#include <stdbool.h>

/// From here on the first signal sets the flag; a second one ends the process as usual.
void pbitc_interrupt_catch(void);
bool pbitc_interrupted(void);
/// While held, pbitc_interrupted() is false: what was done until the signal can be written.
void pbitc_interrupt_hold(bool hold);
int pbitc_interrupt_signal(void); ///< the signal that came, 0 for none

#endif
