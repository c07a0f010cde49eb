#include "converter/command.h"

#include "converter/interrupt.h"

int pbitc_exit_code(enum pbit_status status)
{
    switch (status) {
    case PBIT_OK:
        return PBITC_EXIT_DONE;
    case PBIT_ERROR_IO:
    case PBIT_ERROR_FORMAT:
    case PBIT_ERROR_UNSUPPORTED:
    case PBIT_ERROR_RANGE:
        return PBITC_EXIT_INPUT;
    case PBIT_ERROR_STOPPED:
        return PBITC_EXIT_SIGNAL + pbitc_interrupt_signal();
    case PBIT_ERROR_ARGUMENT:
    case PBIT_ERROR_MEMORY:
    case PBIT_ERROR_WORKSPACE:
    case PBIT_ERROR_INTERNAL:
        break;
    }
    return PBITC_EXIT_INTERNAL;
}
