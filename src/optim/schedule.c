/* schedule.c - how the rate changes with the step. */
#include <string.h>

#include "wingspan/core/fmath.h"
#include "wingspan/optim/optim.h"

double ws_schedule_rate(const ws_schedule *s, int64_t k)
{
    const double pi = 3.141592653589793;

    if (strcmp(s->name, "step") == 0) {
        double rate = s->rate;
        for (int64_t i = k / s->every; i > 0 && rate > 0; i--) rate *= s->factor;
        return rate;
    }
    if (strcmp(s->name, "cosine") == 0)
        return s->rate * (1 + ws_cos(pi * (double)k / (double)s->total)) / 2;
    return s->rate;
}
