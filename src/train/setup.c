/* setup.c - from options to data, network, optimiser and index.
 *
 * Words are resolved here: after ws_run_resolve() the options hold what the run really uses,
 * and that is what checkpoints and metrics record. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/fmath.h"
#include "wingspan/linalg/blas.h"

ws_err ws_run_data(ws_run *r, const ws_preparation *stored)
{
    ws_dataset_options o = {
        .need_y = 1, .stored = stored, .samples = r->opt.samples, .only_shape = r->opt.dry_run};
    ws_err err;

    o.prepare = (ws_prepare)ws_prepare_find(r->opt.prepare);
    /* Others read float32 samples only. */
    o.pack = !ws_is_implicit(&r->opt) && strcmp(r->opt.precision, "float64") != 0;
    if ((err = ws_dataset_load(r->comm, r->opt.data, &o, &r->ds))) return err;
    r->targets = (ws_targets){.c = r->ds->columns,
                              .label = r->ds->label,
                              .value = r->ds->value,
                              .classes = r->ds->prep.classes};
    return WS_OK;
}

static ws_err resolve_loss(ws_run *r)
{
    ws_train_options *o = &r->opt;
    int32_t classes = r->ds->prep.classes;
    int32_t c;

    if (strcmp(o->loss, "auto") == 0) {
        const char *word = ws_is_newton(o)                                 ? "squared"
                           : classes > 2                                   ? "softmax"
                           : classes == 2                                  ? "logistic"
                           : strcmp(ws_dataset_kind(r->ds), "labels") == 0 ? "logistic"
                                                                           : "squared";
        snprintf(o->loss, sizeof o->loss, "%s", word);
    }
    if (classes == 1)
        return ws_fail(WS_ERR_DATA, "every label in %s is the same: there is nothing to learn",
                       r->ds->name);
    if (strcmp(o->loss, "logistic") == 0 && strcmp(ws_dataset_kind(r->ds), "targets") == 0)
        return ws_fail(WS_ERR_USAGE,
                       "--loss logistic needs classes or 0/1 labels, but %s has real targets: "
                       "use --loss squared",
                       r->ds->name);
    r->loss = ws_loss_find(o->loss);
    c = r->loss->outputs(classes, r->ds->columns);
    if (c < 1)
        return ws_fail(WS_ERR_USAGE,
                       "--loss %s needs classes, but the y of %s are numbers: use --loss squared",
                       o->loss, r->ds->name);
    r->targets.c = c;
    if (!isnan(o->target_accuracy) && !r->targets.label && strcmp(o->loss, "logistic") != 0)
        return ws_fail(WS_ERR_USAGE,
                       "--target-accuracy needs classes, but the y of %s are numbers: use "
                       "--target-loss",
                       r->ds->name);
    return WS_OK;
}

static void resolve_limits(ws_run *r)
{
    ws_train_options *o = &r->opt;
    int64_t n = r->ds->n;
    int newton = ws_is_newton(o), gd = strcmp(o->optimizer, "gd") == 0;

    r->batch = gd || newton ? n : o->batch > 0 ? o->batch : 128;
    if (r->batch > n) r->batch = n;
    r->per_epoch = (n + r->batch - 1) / r->batch;
    if (o->epochs == 0 && o->steps == 0) o->epochs = gd ? 100 : newton ? 20 : 10;
    r->total = o->epochs > 0 ? o->epochs * r->per_epoch : o->steps;
    if (o->steps > 0 && o->steps < r->total) r->total = o->steps;
    if (o->log_every == 0) o->log_every = r->per_epoch < 100 ? r->per_epoch : r->per_epoch / 20;
}

static ws_err resolve_saving(ws_run *r)
{
    const char *text = r->opt.checkpoint_every;
    char *end;
    double v = strtod(text, &end);
    int seconds = end != text && strcmp(end, "s") == 0;

    if (end == text || (*end && !seconds) || !(v >= 0) || v > 1e15 || (!seconds && v != floor(v)))
        return ws_fail(WS_ERR_USAGE,
                       "--checkpoint-every %s is not valid: give steps, as in 100, or seconds, as "
                       "in 600s",
                       text);
    r->save_seconds = seconds ? v : 0;
    r->save_steps = seconds ? 0 : (int64_t)v;
    return WS_OK;
}

ws_err ws_run_resolve(ws_run *r)
{
    ws_train_options *o = &r->opt;
    const ws_activation *phi = ws_activation_find(o->activation);
    ws_err err;

    if (isnan(o->shift)) o->shift = phi->smooth ? 0 : sqrt(0.4 * ws_log((double)o->width));
    if (isnan(o->slack)) o->slack = WS_CERTIFIED_SLACK;
    resolve_limits(r);
    r->spread = o->init_scale * r->ds->rms;
    if ((err = resolve_loss(r))) return err;
    return resolve_saving(r);
}

ws_net_spec ws_run_spec(const ws_run *r)
{
    const ws_train_options *o = &r->opt;
    ws_net_spec s = {.m = o->width,
                     .d = r->ds->d,
                     .c = r->targets.c,
                     .phi = ws_activation_find(o->activation),
                     .threshold = o->shift * r->spread,
                     .init_scale = o->init_scale,
                     .x_scale = r->ds->max_norm,
                     .init = (ws_init)ws_init_find(o->init),
                     .seed = (uint64_t)o->seed,
                     .train_bias = strcmp(o->bias, "trained") == 0,
                     .train_output = strcmp(o->output_weights, "trained") == 0,
                     .keep_start = o->ridge > 0,
                     .float64 = strcmp(o->precision, "float64") == 0,
                     .implicit = ws_is_implicit(o)};

    if (strcmp(o->output_scale, "active") == 0)
        s.scale = 1 / sqrt((double)s.m * s.phi->power(r->spread, s.threshold));
    else if (strcmp(o->output_scale, "theory") == 0)
        s.scale = 1 / sqrt((double)s.m);
    else
        s.scale = strtod(o->output_scale, NULL);
    return s;
}

ws_optim_spec ws_run_optim(const ws_run *r)
{
    const ws_train_options *o = &r->opt;

    return (ws_optim_spec){.name = o->optimizer,
                           .momentum = o->momentum,
                           .weight_decay = o->weight_decay,
                           .beta1 = o->beta1,
                           .beta2 = o->beta2,
                           .epsilon = o->epsilon,
                           .ridge = o->ridge};
}

ws_index_plan ws_run_index_plan(const ws_run *r)
{
    ws_net_spec s = ws_run_spec(r);
    ws_layout l = {s.m, r->comm->size};
    ws_index_plan p = {.d = s.d,
                       .registered = r->ds->n + r->ds->n_test,
                       .batch = r->batch,
                       .steps = r->total,
                       .active = ws_gauss_tail(r->opt.shift),
                       .spread = r->spread,
                       .threshold = s.threshold,
                       .smooth = s.phi->smooth,
                       .opt = {.slack = r->opt.slack * r->spread,
                               .tables = r->opt.lsh_tables,
                               .bits = r->opt.lsh_bits,
                               .every = r->opt.lsh_every,
                               .seed = (uint64_t)r->opt.seed}};

    for (int k = 0; k < l.size; k++)
        if (ws_layout_count(&l, k) > p.n) p.n = ws_layout_count(&l, k);
    /* Twice as much as the weights, and at least two gigabytes, may go to the index. */
    p.memory = fmax(0x1p31, 2 * ws_net_bytes(&s, p.n));
    return p;
}

/* Decide the index: the same on every rank, since the plan is. */
static ws_err choose_index(ws_run *r)
{
    ws_index_plan p = ws_run_index_plan(r);
    const char *word = r->opt.index;

    if (ws_is_implicit(&r->opt)) {
        r->index_kind = "none";
        snprintf(r->index_reason, sizeof r->index_reason, "all neurons that ever fire are held");
    } else if (p.smooth) {
        if (strcmp(word, "auto") != 0)
            return ws_fail(WS_ERR_USAGE,
                           "--index %s goes with --activation relu: %s uses every neuron", word,
                           r->opt.activation);
        r->index_kind = "all";
        snprintf(r->index_reason, sizeof r->index_reason, "%.20s uses every neuron",
                 r->opt.activation);
    } else if (strcmp(word, "auto") == 0) {
        r->index_kind = ws_index_choose(&p, r->index_reason);
    } else {
        r->index_kind = word;
        snprintf(r->index_reason, sizeof r->index_reason, "asked for");
    }
    return WS_OK;
}

ws_err ws_run_network(ws_run *r)
{
    ws_net_spec spec = ws_run_spec(r);
    ws_optim_spec opt = ws_run_optim(r);
    ws_err err = choose_index(r);

    ws_blas_init();
    if (err) return err;
    if (!(spec.scale > 0) || !isfinite(spec.scale))
        return ws_fail(WS_ERR_USAGE,
                       "--shift %g leaves no neuron active at width %lld: use a smaller shift",
                       r->opt.shift, (long long)spec.m);
    if ((err = ws_net_create(r->comm, &spec, &r->net)) || spec.implicit) return err;
    return ws_optim_create(&opt, r->net, &r->optim);
}

ws_err ws_run_try_index(ws_run *r)
{
    ws_index_plan p = ws_run_index_plan(r);
    ws_shard shard = ws_net_shard(r->net);

    if (p.smooth || strcmp(r->opt.index, "auto") != 0) return WS_OK;
    p.steps = r->total - r->step;
    return ws_index_trial(r->comm, &shard, &r->ds->all, &p, &r->index_kind, r->index_reason);
}

ws_err ws_run_index(ws_run *r)
{
    ws_index_options o = ws_run_index_plan(r).opt;
    ws_shard shard = ws_net_shard(r->net);
    ws_err err;

    if ((err = ws_index_create(r->comm, r->index_kind, &o, &r->ix))) return err;
    ws_index_start(r->ix, ws_net_blocks(r->net));
    return ws_index_build(r->ix, &shard, &r->ds->all, ws_fired_threshold(r->net));
}

ws_err ws_run_room(ws_run *r, int64_t samples)
{
    int64_t want = samples * r->targets.c, room = r->room * r->targets.c, same = room;
    ws_err err;

    if (samples <= r->room) return WS_OK;
    if ((err = ws_grow(&r->out, &room, want, sizeof *r->out, "outputs of a batch"))) return err;
    if ((err = ws_grow(&r->grad, &same, want, sizeof *r->grad, "gradient of a batch"))) return err;
    r->room = samples;
    return WS_OK;
}

void ws_run_free(ws_run *r)
{
    ws_metrics_close(&r->metrics);
    ws_index_destroy(&r->ix);
    ws_newton_destroy(&r->newton.nt);
    ws_implicit_end(r);
    ws_hits_free(&r->newton.hits);
    ws_filter_free(&r->newton.filter);
    ws_free(&r->newton.residual);
    ws_optim_destroy(&r->optim);
    ws_net_destroy(&r->net);
    ws_dataset_destroy(&r->ds);
    ws_hits_free(&r->hits);
    ws_filter_free(&r->filter);
    ws_near_free(&r->near);
    ws_meeting_free(&r->meet);
    ws_free(&r->out);
    ws_free(&r->grad);
    ws_free(&r->order);
    ws_free(&r->test);
    ws_free(&r->history);
    ws_free(&r->check.pos);
    ws_free(&r->before.row);
    ws_free(&r->before.first);
    ws_free(&r->before.pos);
}
