/* net.c - a shard of the network: memory, scales. */
#include "wingspan/model/net.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/blocks.h"
#include "wingspan/model/net64.h"

static void copy(float *to, const float *from, int64_t n)
{
    if (n > 0) memcpy(to, from, (size_t)n * sizeof *to);
}

static ws_err alloc_shard(ws_net *net)
{
    const ws_net_spec *s = &net->spec;
    int64_t n = net->n;
    ws_err err;

    if (s->implicit) return WS_OK;
    if ((err = ws_alloc(&net->w, n * s->d, sizeof *net->w, "weights")) ||
        (err = ws_alloc(&net->b, n, sizeof *net->b, "biases")) ||
        (err = ws_alloc(&net->a, n * s->c, sizeof *net->a, "output weights")) ||
        (err = ws_alloc(&net->touched, n, sizeof *net->touched, "weights")))
        return err;
    if (s->float64 && (err = ws_net64_create(net))) return err;
    if (!s->keep_start) return WS_OK;
    if ((err = ws_alloc(&net->w0, n * s->d, sizeof *net->w0, "weights at the start")) ||
        (err = ws_alloc(&net->b0, n, sizeof *net->b0, "biases at the start")))
        return err;
    return ws_alloc(&net->a0, n * s->c, sizeof *net->a0, "output weights at the start");
}

/* A power of two around the first activations, and the largest contribution that sums allow. */
static void set_scale(ws_net *net)
{
    const ws_net_spec *s = &net->spec;
    double z = s->init_scale * s->x_scale;
    double typical = fmax(strcmp(s->phi->name, "quadratic") == 0 ? z * z : z, 0x1p-300);
    int room = 40 - ilogb((double)s->m) - 1;

    if (strcmp(s->phi->name, "tanh") == 0) typical = 1;
    if (strcmp(s->phi->name, "softplus") == 0) typical = fmax(z, 1);
    net->exponent = ilogb(typical) + 3;
    net->limit = ldexp(1, net->exponent + (room < 29 ? room : 29));
}

static ws_err check(const ws_net_spec *s)
{
    if (s->m < 1 || s->d < 1 || s->c < 1)
        return ws_fail(WS_ERR_USAGE, "a network needs width, columns and outputs of at least 1");
    if (!(s->init_scale * s->x_scale < 1e100))
        return ws_fail(WS_ERR_USAGE,
                       "the data are too large for a network (norm %g): use "
                       "--prepare unit",
                       s->x_scale);
    return WS_OK;
}

ws_err ws_net_create(const ws_comm *comm, const ws_net_spec *spec, ws_net **out)
{
    ws_net *net = NULL;
    ws_err err;

    *out = NULL;
    if ((err = ws_same(comm, "width", spec->m)) || (err = ws_same(comm, "columns", spec->d)) ||
        (err = ws_same(comm, "outputs", spec->c)) || (err = check(spec)))
        return err;
    if (!(err = ws_alloc(&net, 1, sizeof *net, "network"))) {
        net->spec = *spec;
        net->comm = comm;
        net->layout = (ws_layout){spec->m, comm->size};
        net->first = ws_layout_first(&net->layout, comm->rank);
        net->n = ws_layout_count(&net->layout, comm->rank);
        err = alloc_shard(net);
    }
    if ((err = ws_agree(comm, err))) {
        ws_net_destroy(&net);
        return err;
    }
    set_scale(net);
    net->start = (ws_start){.blocks = ws_blocks_of(spec->seed, spec->d, spec->init_scale),
                            .first = net->first,
                            .pairs = ws_init_is_coupled(spec->init),
                            .moved = net->touched};
    if (!spec->implicit) ws_net_start_rows(spec, net->first, net->n, net->w);
    for (int64_t i = 0; i < net->n && !spec->implicit; i++)
        ws_net_start(spec, net->first + i, NULL, net->b + i, net->a + i * spec->c);
    if (spec->keep_start) {
        copy(net->w0, net->w, net->n * spec->d);
        copy(net->b0, net->b, net->n);
        copy(net->a0, net->a, net->n * spec->c);
    }
    if (net->f64) ws_net64_widen(net);
    *out = net;
    return WS_OK;
}

void ws_net_destroy(ws_net **net)
{
    if (!*net) return;
    ws_free(&(*net)->w);
    ws_free(&(*net)->b);
    ws_free(&(*net)->a);
    ws_free(&(*net)->w0);
    ws_free(&(*net)->b0);
    ws_free(&(*net)->a0);
    ws_free(&(*net)->touched);
    ws_net64_destroy(&(*net)->f64);
    ws_free(net);
}

ws_shard ws_net_shard(const ws_net *net)
{
    return (ws_shard){.n = net->n, .d = net->spec.d, .w = net->w, .b = net->b};
}

const ws_start *ws_net_blocks(const ws_net *net)
{
    return ws_init_is_structured(net->spec.init) ? &net->start : NULL;
}

double ws_net_bytes(const ws_net_spec *s, int64_t n)
{
    double row = sizeof(float) * (double)(s->d + 1 + s->c);

    return (double)n * (row * (s->keep_start ? 2 : 1) + 1) +
           (s->float64 ? ws_net64_bytes(s, n) : 0);
}
