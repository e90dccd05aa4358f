/* optim.c - the front: which rule a name means, and the arrays of its state. */
#include "wingspan/optim/optim.h"

#include <math.h>
#include <string.h>

#include "optim_impl.h"
#include "wingspan/core/alloc.h"

static const ws_optim_rule *rule_of(const ws_optim_spec *s)
{
    if (strcmp(s->name, "adam") == 0) return &ws_rule_adam;
    if (strcmp(s->name, "gauss-newton") == 0) return &ws_rule_plain;
    if (strcmp(s->name, "gd") != 0 && strcmp(s->name, "sgd") != 0) return NULL;
    return s->momentum > 0 ? &ws_rule_momentum : &ws_rule_plain;
}

static int64_t group_size(const ws_net_spec *s, int k)
{
    return k == GROUP_W ? s->d : k == GROUP_B ? s->train_bias : s->train_output * (int64_t)s->c;
}

/* One array of moments, listed for checkpoints. */
static ws_err add_array(ws_optim *o, const char *moment, int k, float **out)
{
    static const char *const names[3][GROUPS] = {
        {"momentum_w", "momentum_b", "momentum_a"},
        {"moment1_w", "moment1_b", "moment1_a"},
        {"moment2_w", "moment2_b", "moment2_a"},
    };
    int64_t size = group_size(&o->net->spec, k);
    int row = strcmp(moment, "momentum") == 0 ? 0 : strcmp(moment, "moment1") == 0 ? 1 : 2;
    ws_err err;

    if (size == 0) return WS_OK;
    if ((err = ws_alloc(out, o->net->n * size, sizeof **out, "state of the optimiser"))) return err;
    o->arrays[o->n_arrays++] = (ws_optim_array){names[row][k], 0, size, *out};
    return WS_OK;
}

static ws_err alloc_state(ws_optim *o)
{
    const ws_net_spec *s = &o->net->spec;
    int64_t longest = s->d > s->c ? s->d : s->c;
    ws_err err;

    for (int k = 0; k < GROUPS; k++)
        if ((o->rule->first && (err = add_array(o, o->rule->first, k, &o->first[k]))) ||
            (o->rule->second && (err = add_array(o, o->rule->second, k, &o->second[k]))))
            return err;
    if (o->rule->second) {
        if ((err = ws_alloc(&o->count, o->net->n, sizeof *o->count, "state of the optimiser")))
            return err;
        o->arrays[o->n_arrays++] = (ws_optim_array){"count", 1, 1, o->count};
    }
    if ((err = ws_alloc(&o->g, longest, sizeof *o->g, "gradient of a neuron"))) return err;
    return ws_alloc(&o->delta, longest, sizeof *o->delta, "step of a neuron");
}

ws_err ws_optim_create(const ws_optim_spec *spec, ws_net *net, ws_optim **out)
{
    ws_optim *o = NULL;
    ws_err err;

    *out = NULL;
    if (!rule_of(spec)) {
        err = ws_fail(WS_ERR_USAGE, "no optimiser is called %s", spec->name);
    } else if (!(err = ws_alloc(&o, 1, sizeof *o, "optimiser"))) {
        o->spec = *spec;
        o->net = net;
        o->rule = rule_of(spec);
        o->combines = o->rule == &ws_rule_plain && spec->ridge == 0 && spec->weight_decay == 0;
        o->penalty_exponent =
            ilogb(net->spec.init_scale * net->spec.init_scale * (double)net->spec.d) + 1;
        err = alloc_state(o);
    }
    if ((err = ws_agree(net->comm, err))) {
        ws_optim_destroy(&o);
        return err;
    }
    *out = o;
    return WS_OK;
}

void ws_optim_destroy(ws_optim **p)
{
    ws_optim *o = *p;

    if (!o) return;
    for (int k = 0; k < GROUPS; k++) {
        ws_free(&o->first[k]);
        ws_free(&o->second[k]);
    }
    ws_free(&o->count);
    ws_free(&o->g);
    ws_free(&o->delta);
    ws_free(&o->lanes);
    ws_free(&o->norm);
    ws_free(&o->dbias);
    ws_free(&o->coef);
    ws_free(&o->coef64);
    ws_free(p);
}

double ws_optim_bytes(const ws_optim_spec *spec, const ws_net_spec *net, int64_t n)
{
    const ws_optim_rule *rule = rule_of(spec);
    double row = rule->second ? sizeof(int64_t) : 0;

    for (int k = 0; k < GROUPS; k++)
        row += (double)group_size(net, k) * sizeof(float) *
               ((rule->first != NULL) + (rule->second != NULL));
    return (double)n * row;
}

const ws_optim_array *ws_optim_arrays(const ws_optim *o, int *count)
{
    *count = o->n_arrays;
    return o->arrays;
}
