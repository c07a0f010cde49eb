// What the files of the recurrent operators share: recurrent.c reads the node and goes from step to step,
// recurrent_cells.c computes one step of one sequence.
#ifndef PBITC_RECURRENT_H
#define PBITC_RECURRENT_H

#include "passes/operators/operator_support.h"

enum { PBITC_MAX_DIRECTIONS = 2, PBITC_MAX_FUNCTIONS = 3 };

enum pbitc_cell { PBITC_CELL_RNN, PBITC_CELL_GRU, PBITC_CELL_LSTM };

/// Inputs of all three, and of LSTM alone.
enum {
    PBITC_RECURRENT_X,
    PBITC_RECURRENT_W,
    PBITC_RECURRENT_R,
    PBITC_RECURRENT_B,
    PBITC_RECURRENT_SEQUENCE_LENS,
    PBITC_RECURRENT_INITIAL_H,
    PBITC_RECURRENT_INITIAL_C,
    PBITC_RECURRENT_P
};

enum pbitc_cell_function {
    PBITC_CELL_RELU,
    PBITC_CELL_TANH,
    PBITC_CELL_SIGMOID,
    PBITC_CELL_AFFINE,
    PBITC_CELL_LEAKY_RELU,
    PBITC_CELL_THRESHOLDED_RELU,
    PBITC_CELL_SCALED_TANH,
    PBITC_CELL_HARD_SIGMOID,
    PBITC_CELL_ELU,
    PBITC_CELL_SOFTSIGN,
    PBITC_CELL_SOFTPLUS,
    PBITC_FUNCTION_COUNT
};

struct pbitc_recurrent_activation {
    enum pbitc_cell_function function;
    float alpha, beta;
};

struct pbitc_recurrent {
    struct pbitc_evaluation *evaluation;
    enum pbitc_cell cell;
    int64_t steps, batch, inputs, hidden, columns; ///< columns: gates x hidden
    int directions;
    bool batch_first, reverse_first;
    bool linear_before_reset, input_forget;
    float clip; ///< INFINITY: none
    struct pbitc_recurrent_activation activations[PBITC_MAX_DIRECTIONS][PBITC_MAX_FUNCTIONS];
    float *projected; ///< [direction][row of X][columns]: what the input and the biases contribute
    float *states;    ///< room for the blocks
};

/// Data of an input; NULL: it is omitted.
const float *pbitc_recurrent_input(const struct pbitc_recurrent *r, size_t index);

/// One sequence in one direction at one step: gates[columns] is what the input contributes,
/// recurrent[columns] what h does.
struct pbitc_recurrent_step {
    const struct pbitc_recurrent *r;
    int direction;
    const struct pbitc_recurrent_activation *f, *g, *h_function;
    float *gates;
    const float *recurrent;
    float *h, *c;
};

/// The whole step of an RNN or an LSTM. GRU: z and r, and for linear_before_reset what h contributes to the
/// third gate.
void pbitc_step_rnn(const struct pbitc_recurrent_step *s);
void pbitc_step_lstm(const struct pbitc_recurrent_step *s);
void pbitc_open_gru(const struct pbitc_recurrent_step *s);
/// The rest of GRU's step, once the third gate is complete.
void pbitc_close_gru(const struct pbitc_recurrent_step *s);

#endif
