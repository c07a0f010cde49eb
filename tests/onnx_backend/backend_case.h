// One test of the ONNX backend suite: a model, its inputs and the outputs that ONNX's reference expects.
#ifndef PBITC_TESTS_BACKEND_CASE_H
#define PBITC_TESTS_BACKEND_CASE_H

enum backend_outcome {
    BACKEND_CRASH, ///< zero, so that it is what remains of a test that did not live to say anything
    BACKEND_WRONG,
    BACKEND_REFUSED,
    BACKEND_PASS,
    BACKEND_OUTCOME_COUNT,
};

enum { BACKEND_REASON = 240 };

struct backend_result {
    enum backend_outcome outcome;
    char reason[BACKEND_REASON]; ///< why it did not pass, on one line; "" for a pass
};

/// Runs FOLDER/model.onnx on every FOLDER/test_data_set_N and compares with the tolerance of onnx's own
/// runner (relative 1e-3, absolute 1e-7; types and shapes exactly). The first data set that does not pass
/// decides.
void backend_case_run(const char *folder, struct backend_result *result);

#endif
