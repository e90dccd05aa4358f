/* bench_say.c - what bench index prints: tables with a verdict for people, JSON for programs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_index.h"
#include "wingspan/core/dot.h"

const ws_bench_column ws_bench_index_columns[] = {
    [WIDTH] = {0, "width", "width", 1, 0, WS_BENCH_SAME},
    [ACTIVE] = {0, "active", "active", 1, 1, WS_BENCH_SUM},
    [WORK] = {0, "work", "work", 1, 1, WS_BENCH_SUM},
    [PRODUCTS] = {0, "products", "inner_products", 1, 1, WS_BENCH_SUM},
    [VISITS] = {0, "visits", "node_visits", 1, 1, WS_BENCH_SUM},
    [CANDIDATES] = {0, "candid.", "candidates", 1, 1, WS_BENCH_SUM},
    [MOVED] = {0, "moved", "moved", 1, 1, WS_BENCH_SUM},
    [WRITES] = {0, "writes", "leaf_writes", 1, 1, WS_BENCH_SUM},
    [RELISTED] = {0, "relisted", "relisted", 1, 1, WS_BENCH_SUM},
    [FLIPS] = {0, "flips %", "flips", 0.01, 0, WS_BENCH_SUM},
    [BUILD] = {1, "build s", "build_seconds", 1, 1, WS_BENCH_MOST},
    [QUERY] = {1, "query ms", "query_seconds", 1e-3, 1, WS_BENCH_MOST},
    [UPDATE] = {1, "tell ms", "update_seconds", 1e-3, 1, WS_BENCH_MOST},
    [STEP] = {1, "step ms", "step_seconds", 1e-3, 1, WS_BENCH_MOST},
    [BYTES] = {1, "MB", "bytes", 1e6, 1, WS_BENCH_SUM},
    [SCAN_QUERY] = {1, "scan q.", "scan_query_seconds", 1e-3, 1, WS_BENCH_MOST},
    [SCAN_STEP] = {1, "scan st.", "scan_step_seconds", 1e-3, 1, WS_BENCH_MOST},
    [SGEMM] = {1, "sgemm ms", "sgemm_seconds", 1e-3, 1, WS_BENCH_MOST},
    [RECALL] = {0, "recall", "recall", 1, 0, WS_BENCH_SAME},
    [SAME] = {0, "same", "same", 0, 0, WS_BENCH_SAME},
    [SAME + 1] = {0, NULL, NULL, 0, 0, WS_BENCH_SAME},
};

static void print_title(const ws_bench_options *o, const char *kind, int ranks)
{
    int64_t batch = o->batch < o->samples ? o->batch : o->samples;
    char moved[60] = "every neuron that fires";

    if (!isnan(o->updates)) snprintf(moved, sizeof moved, "%.0f neurons", o->updates);
    printf("index %s (%s), %d rank%s, d = %lld, %lld samples, %lld a query; a step asks about all "
           "and moves %s\n",
           kind, ws_simd_name(), ranks, ranks > 1 ? "s" : "", (long long)o->dim,
           (long long)o->samples, (long long)batch, moved);
}

/* From which width on a step is faster than scan's. */
static double beats_scan(const ws_bench_rows *r)
{
    double from = NAN;

    for (int i = r->n - 1; i >= 0 && r->v[i][STEP] < r->v[i][SCAN_STEP]; i--) from = r->v[i][WIDTH];
    return from;
}

static void print_comparison(const ws_bench_rows *r)
{
    double from = beats_scan(r), most = r->v[r->n - 1][WIDTH];
    const double *v = r->v[r->n - 1];

    if (strcmp(r->kind, "scan") == 0) return;
    if (isnan(from))
        printf("%s does not beat scan up to width %.0f", r->kind, most);
    else
        printf("%s beats scan from width %.0f on", r->kind, from);
    printf(": at %.0f a step takes %.3g ms, scan's %.3g ms (all samples asked about, updates "
           "included)\n",
           most, v[STEP] * 1e3, v[SCAN_STEP] * 1e3);
}

static void print_same(const ws_bench_rows *r)
{
    double least = 1, same = 1;

    for (int i = 0; i < r->n; i++) {
        least = fmin(least, r->v[i][RECALL]);
        same = fmin(same, r->v[i][SAME]);
    }
    if (r->exact)
        printf("same as scan, to the bit of z, in and after %d steps: %s\n", STEPS,
               same > 0 ? "yes, at every width" : "NO");
    else
        printf("%s is approximate: recall at least %.4f\n", r->kind, least);
}

static void print_tables(const ws_bench_options *o, int ranks, const ws_bench_rows *rows, int kinds)
{
    for (int k = 0; k < kinds; k++) {
        print_title(o, rows[k].kind, ranks);
        ws_bench_table(ws_bench_index_columns, 0, &rows[k]);
        printf("\n");
        ws_bench_table(ws_bench_index_columns, 1, &rows[k]);
        print_same(&rows[k]);
        print_comparison(&rows[k]);
        printf("%s", k + 1 < kinds ? "\n" : "");
    }
    printf("active to candid.: a sample; moved to flips: a step; work is products + visits; ms of "
           "a query, of telling\na step's moves, of a step, of scan's query and step, of the bare "
           "product by sgemm\n");
}

static void print_json_kind(const ws_bench_rows *r)
{
    double from = beats_scan(r);

    ws_bench_json(ws_bench_index_columns, r);
    if (isnan(from))
        printf(",\"beats_scan_from\":null");
    else
        printf(",\"beats_scan_from\":%.0f", from);
}

/* One object: the first kind's rows at its top, the others in a list. */
static void print_json(const ws_bench_options *o, int ranks, const ws_bench_rows *rows, int kinds)
{
    printf("{\"bench\":\"index\",\"simd\":\"%s\",\"ranks\":%d,\"dim\":%lld,\"samples\":%lld,"
           "\"batch\":%lld,",
           ws_simd_name(), ranks, (long long)o->dim, (long long)o->samples,
           (long long)(o->batch < o->samples ? o->batch : o->samples));
    print_json_kind(&rows[0]);
    for (int k = 1; k < kinds; k++) {
        printf("%s{", k == 1 ? ",\"others\":[" : ",");
        print_json_kind(&rows[k]);
        printf("}");
    }
    printf("%s}\n", kinds > 1 ? "]" : "");
}

void ws_bench_index_print(const ws_bench_options *o, int ranks, const ws_bench_rows *rows,
                          int kinds)
{
    if (o->json)
        print_json(o, ranks, rows, kinds);
    else
        print_tables(o, ranks, rows, kinds);
}
