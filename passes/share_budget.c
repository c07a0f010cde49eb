#include "passes/share_budget.h"

#include <math.h>

/// Steps that cost less than this share of the budget count as costing so much.
static const double NEGLIGIBLE_PRICE = 1e-8;

struct work {
    struct pbitc_sharing *sharing;
    double least_price;
    double least_error; ///< of the runs
};

static bool can_step(const struct pbitc_share *share, int step)
{
    return !share->fixed && (step > 0 ? share->now < share->most : share->now > share->least);
}

static double total_error(const struct pbitc_sharing *sharing)
{
    double sum = 0;
    for (size_t i = 0; i < sharing->count; i++)
        if (!sharing->shares[i].fixed)
            sum += sharing->shares[i].errors[sharing->shares[i].now];
    return sum;
}

/// What one more (step 1) or one less (-1) costs.
static double price_of_step(const struct pbitc_share *share, int step)
{
    return share->prices[share->now + (uint32_t)step] - share->prices[share->now];
}

/// What the step changes the error by, as a share of its price.
static double error_per_price(const struct work *work, const struct pbitc_share *share, int step)
{
    double change = share->errors[share->now + (uint32_t)step] - share->errors[share->now];
    return fabs(change) / fmax(fabs(price_of_step(share, step)), work->least_price);
}

static void take_step(struct work *work, struct pbitc_share *share, int step)
{
    work->sharing->left -= price_of_step(share, step);
    share->now += (uint32_t)step;
}

/// Takes steps up while the budget lasts, each where the error falls most for its price; none of `except`.
static void spend(struct work *work, const struct pbitc_share *except)
{
    for (struct pbitc_share *best;;) {
        double most = 0;
        best = NULL;
        for (size_t i = 0; i < work->sharing->count; i++) {
            struct pbitc_share *share = &work->sharing->shares[i];
            if (share == except || !can_step(share, 1) || price_of_step(share, 1) > work->sharing->left)
                continue;
            double gain = error_per_price(work, share, 1);
            if (gain > most) {
                most = gain;
                best = share;
            }
        }
        if (!best)
            return;
        take_step(work, best, 1);
    }
}

/// Takes steps back until the budget is kept to, each where the error rises least for its price.
static void save(struct work *work, const struct pbitc_share *except)
{
    while (work->sharing->left < 0) {
        struct pbitc_share *best = NULL;
        double least = INFINITY;
        for (size_t i = 0; i < work->sharing->count; i++) {
            struct pbitc_share *share = &work->sharing->shares[i];
            if (share == except || !can_step(share, -1))
                continue;
            double loss = error_per_price(work, share, -1);
            if (loss < least) {
                least = loss;
                best = share;
            }
        }
        if (!best)
            return;
        take_step(work, best, -1);
    }
}

/// One step of one share, and the others make the best of it. True when that lowered the error; else all is
/// as before.
static bool improve(struct work *work, struct pbitc_share *share, int step)
{
    struct pbitc_sharing *sharing = work->sharing;
    if (!can_step(share, step))
        return false;
    double before = total_error(sharing), left = sharing->left;
    for (size_t i = 0; i < sharing->count; i++)
        sharing->shares[i].before = sharing->shares[i].now;
    take_step(work, share, step);
    save(work, share);
    spend(work, share);
    if (sharing->left >= 0 && total_error(sharing) < before * (1 - 1e-9))
        return true;
    for (size_t i = 0; i < sharing->count; i++)
        sharing->shares[i].now = sharing->shares[i].before;
    sharing->left = left;
    return false;
}

/// Keeps the numbers when a run with them has the least error so far.
static enum pbit_status verify(struct work *work, pbitc_share_measure *measure, void *state)
{
    double error = 0;
    enum pbit_status status = measure(state, &error);
    if (status == PBIT_OK && error < work->least_error) {
        work->least_error = error;
        for (size_t i = 0; i < work->sharing->count; i++)
            work->sharing->shares[i].best = work->sharing->shares[i].now;
    }
    return status;
}

enum pbit_status pbitc_share_out(struct pbitc_sharing *sharing, pbitc_share_measure *measure, void *state)
{
    struct work work = {.sharing = sharing, .least_error = INFINITY};
    double budget = sharing->left;
    for (size_t i = 0; i < sharing->count; i++) {
        struct pbitc_share *share = &sharing->shares[i];
        share->best = share->now;
        budget += share->fixed ? 0 : share->prices[share->now];
    }
    work.least_price = NEGLIGIBLE_PRICE * budget;
    enum pbit_status status = verify(&work, measure, state);
    spend(&work, NULL);
    if (status == PBIT_OK)
        status = verify(&work, measure, state);
    for (bool improved = true; improved && status == PBIT_OK;) {
        improved = false;
        for (size_t i = 0; i < sharing->count; i++)
            improved |= improve(&work, &sharing->shares[i], 1) || improve(&work, &sharing->shares[i], -1);
        if (improved)
            status = verify(&work, measure, state);
    }
    for (size_t i = 0; i < sharing->count; i++)
        sharing->shares[i].now = sharing->shares[i].best;
    return status;
}
