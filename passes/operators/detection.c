// NonMaxSuppression.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    double score;
    int64_t box;
};

struct suppression {
    const struct pbitc_tensor *boxes, *scores; ///< [N x B x 4], [N x C x B]
    int64_t limit;                             ///< boxes per class
    double overlap, least;                     ///< thresholds; `least` of the score
    bool centred;
    struct candidate *candidates; ///< room for B
};

/// Higher scores first, equal ones in the order of the boxes.
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->box < b->box ? -1 : a->box > b->box;
}

struct rectangle {
    float low[2], high[2];
};

static struct rectangle rectangle_of(const struct suppression *s, int64_t box)
{
    const float *c = (const float *)s->boxes->data + box * 4;
    struct rectangle r;
    for (int i = 0; i < 2; i++) {
        float a = s->centred ? c[i] - c[2 + i] / 2 : c[i], b = s->centred ? c[i] + c[2 + i] / 2 : c[2 + i];
        r.low[i] = a < b ? a : b;
        r.high[i] = a < b ? b : a;
    }
    return r;
}

/// Intersection over union is above the threshold.
static bool overlaps(const struct suppression *s, int64_t box, int64_t other)
{
    struct rectangle a = rectangle_of(s, box), b = rectangle_of(s, other);
    float common = 1, area_a = 1, area_b = 1;
    for (int i = 0; i < 2; i++) {
        float low = a.low[i] > b.low[i] ? a.low[i] : b.low[i];
        float high = a.high[i] < b.high[i] ? a.high[i] : b.high[i];
        common *= high > low ? high - low : 0;
        area_a *= a.high[i] - a.low[i];
        area_b *= b.high[i] - b.low[i];
    }
    float all = area_a + area_b - common;
    return common > 0 && area_a > 0 && area_b > 0 && all > 0 && (double)(common / all) > s->overlap;
}

/// Boxes of one class of one image that stay; they move to the front of the candidates.
static int64_t suppress(const struct suppression *s, int64_t image, int64_t class)
{
    int64_t count = s->boxes->shape.dims[1], classes = s->scores->shape.dims[1], found = 0, kept = 0;
    const float *scores = (const float *)s->scores->data + (image * classes + class) * count;
    for (int64_t i = 0; i < count; i++)
        if ((double)scores[i] > s->least)
            s->candidates[found++] = (struct candidate){(double)scores[i], i};
    if (found)
        qsort(s->candidates, (size_t)found, sizeof(*s->candidates), compare_candidates);
    for (int64_t i = 0; i < found && kept < s->limit; i++) {
        bool stays = true;
        for (int64_t j = 0; stays && j < kept; j++)
            stays = !overlaps(s, image * count + s->candidates[i].box, image * count + s->candidates[j].box);
        if (stays)
            s->candidates[kept++] = s->candidates[i];
    }
    return kept;
}

/// Counts what stays, and writes it as (image, class, box) unless `output` is NULL.
static enum pbit_status suppress_all(struct pbitc_evaluation *evaluation, int64_t *output, int64_t *count)
{
    const struct pbitc_tensor *limit = pbitc_input(evaluation, 2), *overlap = pbitc_input(evaluation, 3);
    const struct pbitc_tensor *least = pbitc_input(evaluation, 4);
    struct suppression s = {.boxes = evaluation->inputs[0],
                            .scores = evaluation->inputs[1],
                            .limit = limit ? pbitc_integer_at(limit, 0) : 0,
                            .overlap = overlap ? pbitc_real_at(overlap, 0) : 0,
                            .least = least ? pbitc_real_at(least, 0) : -INFINITY,
                            .centred = pbitc_node_int(evaluation->node, "center_point_box", 0) != 0};
    const int64_t *dims = s.scores->shape.dims;
    *count = 0;
    if ((uint64_t)dims[2] > SIZE_MAX / (2 * sizeof(*s.candidates)))
        return PBITC_REFUSE(evaluation, NULL, "too many boxes");
    s.candidates = pbitc_allocate(NULL, (size_t)(dims[2] + 1) * sizeof(*s.candidates));
    if (!s.candidates)
        return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_MEMORY, evaluation->node, NULL,
                                 "out of memory");
    for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
        int64_t kept = suppress(&s, i / dims[1], i % dims[1]);
        for (int64_t k = 0; output && k < kept; k++) {
            *output++ = i / dims[1];
            *output++ = i % dims[1];
            *output++ = s.candidates[k].box;
        }
        *count += kept;
    }
    pbitc_release(NULL, s.candidates);
    return PBIT_OK;
}

enum pbit_status infer_non_max_suppression(struct pbitc_evaluation *evaluation)
{
    static const char *const names[] = {"boxes", "scores", "max_output_boxes_per_class", "iou_threshold",
                                        "score_threshold"};
    const struct pbitc_shape *boxes = &evaluation->inputs[0]->shape, *scores = &evaluation->inputs[1]->shape;
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; !status && i < 2; i++)
        status = pbitc_require_type(evaluation, i, 1 << PBITC_FLOAT32);
    for (size_t i = 2; !status && i < 5; i++) {
        status = pbitc_require_scalar(evaluation, i);
        if (!status)
            status = pbitc_require_parameter(
                evaluation, i, names[i], i == 2 ? (unsigned)PBITC_TYPES_INDEX : (unsigned)PBITC_TYPES_FLOAT);
    }
    if (!status && (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 ||
                    boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2]))
        status = PBITC_MALFORMED(evaluation, "boxes of shape %s with scores of shape %s",
                                 pbitc_shape_format(boxes).text, pbitc_shape_format(scores).text);
    for (size_t i = 0; !status && i < 2; i++)
        status = pbitc_require_data(evaluation, i, names[i]);
    int64_t count = 0;
    if (!status)
        status = suppress_all(evaluation, NULL, &count);
    pbitc_set_output(evaluation, 0, PBITC_INT64, &(struct pbitc_shape){2, {count, 3}});
    return status;
}

enum pbit_status evaluate_non_max_suppression(struct pbitc_evaluation *evaluation)
{
    int64_t count;
    return suppress_all(evaluation, evaluation->outputs[0].data, &count);
}
