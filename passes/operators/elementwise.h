// Makers of elementwise operators: one C function for all element types from one expression.
#ifndef PBITC_ELEMENTWISE_H
#define PBITC_ELEMENTWISE_H

#include "passes/operators/operator_support.h"

/// The output is like input 0, which has one of `types`.
enum pbit_status pbitc_infer_same(struct pbitc_evaluation *evaluation, unsigned types);
/// All inputs of one type out of `types`, broadcast together; NONE: the output has that type too.
enum pbit_status pbitc_infer_broadcast(struct pbitc_evaluation *evaluation, unsigned types,
                                       enum pbitc_type result);

/// An operation on two tensors that broadcast to `output`, which may be `left` itself.
typedef void binary_function(const struct pbitc_tensor *left, const struct pbitc_tensor *right,
                             struct pbitc_tensor *output);

/// One case per element type: computes `expression` of x and y, of type `element`, into `result` elements.
#define BINARY_CASE(type, element, result, expression)                                                       \
    case type:                                                                                               \
        for (; !walk.done; pbitc_walk_next(&walk)) {                                                         \
            const element *xs = (const element *)left->data + walk.offset[0];                                \
            const element *ys = (const element *)right->data + walk.offset[1];                               \
            result *out = (result *)output->data + walk.position;                                            \
            if (walk.step[0] == 1 && walk.step[1] == 1)                                                      \
                for (int64_t i = 0; i < walk.length; i++) {                                                  \
                    const element x = xs[i], y = ys[i];                                                      \
                    out[i] = (result)(expression);                                                           \
                }                                                                                            \
            else if (walk.step[0] == 1)                                                                      \
                for (int64_t i = 0; i < walk.length; i++) {                                                  \
                    const element x = xs[i], y = ys[0];                                                      \
                    out[i] = (result)(expression);                                                           \
                }                                                                                            \
            else                                                                                             \
                for (int64_t i = 0; i < walk.length; i++) {                                                  \
                    const element x = xs[0], y = ys[i * walk.step[1]];                                       \
                    out[i] = (result)(expression);                                                           \
                }                                                                                            \
        }                                                                                                    \
        break;

#define BINARY_FUNCTION(name, cases)                                                                         \
    static void name(const struct pbitc_tensor *left, const struct pbitc_tensor *right,                      \
                     struct pbitc_tensor *output)                                                            \
    {                                                                                                        \
        struct pbitc_walk walk;                                                                              \
        pbitc_walk_broadcast(&walk, &output->shape, 2,                                                       \
                             (const struct pbitc_shape *const[]){&left->shape, &right->shape});              \
        switch (left->type) {                                                                                \
            cases default : break;                                                                           \
        }                                                                                                    \
    }

#define BINARY_OPERATOR(name, function, left, right)                                                         \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        function(evaluation->inputs[left], evaluation->inputs[right], &evaluation->outputs[0]);              \
        return PBIT_OK;                                                                                      \
    }

#define UNARY_CASE(type, element, expression)                                                                \
    case type: {                                                                                             \
        const element *xs = evaluation->inputs[0]->data;                                                     \
        element *out = evaluation->outputs[0].data;                                                          \
        for (int64_t i = 0; i < count; i++) {                                                                \
            const element x = xs[i];                                                                         \
            out[i] = (element)(expression);                                                                  \
        }                                                                                                    \
        break;                                                                                               \
    }

#define UNARY_OPERATOR(name, cases)                                                                          \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);                                 \
        switch (evaluation->inputs[0]->type) {                                                               \
            cases default : break;                                                                           \
        }                                                                                                    \
        return PBIT_OK;                                                                                      \
    }

#define FLOAT_OPERATOR(name, expression)                                                                     \
    UNARY_OPERATOR(name, UNARY_CASE(PBITC_FLOAT32, float, expression)                                        \
                             UNARY_CASE(PBITC_FLOAT64, double, expression))

#endif
