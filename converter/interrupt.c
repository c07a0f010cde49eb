#include "converter/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;
static bool held;

static void remember(int signal)
{
    caught = signal;
}

/// A signal that the caller chose to ignore (nohup, a job in the background) stays ignored.
static void catch_signal(int signal)
{
    struct sigaction action = {.sa_handler = remember, .sa_flags = (int)SA_RESETHAND}, before;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(signal, &action, NULL);
}

void pbitc_interrupt_catch(void)
{
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
}

bool pbitc_interrupted(void)
{
    return caught != 0 && !held;
}

void pbitc_interrupt_hold(bool hold)
{
    held = hold;
}

int pbitc_interrupt_signal(void)
{
    return caught;
}
