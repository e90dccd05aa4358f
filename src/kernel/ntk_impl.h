/* ntk_impl.h - entries of the limiting kernel, for the files of this room. */
#ifndef WS_KERNEL_NTK_IMPL_H
#define WS_KERNEL_NTK_IMPL_H

#include "wingspan/kernel/ntk.h"

enum { WS_NTK_NODES = 32 };

/* Nodes and weights of Gauss and Legendre on [0, 1]. */
typedef struct ws_ntk_rule {
    double x[WS_NTK_NODES], w[WS_NTK_NODES];
} ws_ntk_rule;

void ws_ntk_make_rule(ws_ntk_rule *r);

/* P[Z1 > b, Z2 > b] by the rule. */
double ws_ntk_tail(const ws_ntk_rule *r, double b, double rho);

/* Entry (i, j) of a kernel from <x_i, x_j>. */
double ws_ntk_entry(const ws_ntk_rule *r, double b, int biased, double inner, int diagonal);

/* WS_ERR_DATA if a sample is not of norm 1.  Local. */
ws_err ws_ntk_check_unit(const ws_samples *x, int64_t n);

#endif
