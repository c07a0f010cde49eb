#include "runtime/pbit.h"

const char *pbit_status_text(enum pbit_status status)
{
    switch (status) {
    case PBIT_OK:
        return "done";
    case PBIT_ERROR_ARGUMENT:
        return "invalid argument";
    case PBIT_ERROR_MEMORY:
        return "out of memory";
    case PBIT_ERROR_IO:
        return "input/output error";
    case PBIT_ERROR_FORMAT:
        return "malformed or damaged file";
    case PBIT_ERROR_UNSUPPORTED:
        return "not supported";
    case PBIT_ERROR_RANGE:
        return "number out of range";
    case PBIT_ERROR_WORKSPACE:
        return "workspace too small";
    case PBIT_ERROR_STOPPED:
        return "stopped";
    case PBIT_ERROR_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}
