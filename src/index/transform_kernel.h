/* transform_kernel.h - the loops of transform_simd.c for one vector unit, with TARGET, NAME(f), LANES,
 * LESS(a, b), which is a - b and may need what ONE declares, and NAME(above)(r, cut, word), which has a
 * bit for each of 16 rows times LANES that is above the cut.
 *
 * Lanes are samples, so a butterfly is a sum and a difference of vectors, and the result cannot
 * depend on how many lanes there are. Rows of a unit are numbered o + s k in the first pass, which
 * does the strides s .. 8 s on 16 of them in registers; the second does the strides below s. */

typedef float NAME(vector) __attribute__((vector_size(4 * LANES), may_alias, aligned(4 * LANES)));
#define V NAME(vector)
#define ALWAYS static inline __attribute__((always_inline))

/* Strides h < to. */
TARGET ALWAYS void NAME(butterflies)(V *r, const int to)
{
    ONE

#pragma GCC unroll 4
        for (int h = 1; h < to; h *= 2)
    {
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++) {
            if (k & h) continue;
            V d = LESS(r[k], r[k + h]);
            r[k] += r[k + h];
            r[k + h] = d;
        }
    }
}

/* Sixteen rows, s lines apart and one to spare, of the sum over chunks of G o u. Two chunks, the usual
 * case, are added row by row, which keeps all in registers. */
TARGET ALWAYS void NAME(fold)(const ws_transform_job *j, const float *u, const float *g,
                              const int s, const int two, V *r)
{
    const float *u1 = u + (16 * s + 16) * 16, *g1 = g + 16 * s;

    if (two) {
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++) {
            r[k] = *(const V *)(u + (s + 1) * k * 16) * g[s * k];
            r[k] += *(const V *)(u1 + (s + 1) * k * 16) * g1[s * k];
        }
        return;
    }
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) r[k] = *(const V *)(u + (s + 1) * k * 16) * g[s * k];
    for (int64_t c = 1; c < j->chunks; c++, u1 += (16 * s + 16) * 16, g1 += 16 * s) {
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++) r[k] += *(const V *)(u1 + (s + 1) * k * 16) * g1[s * k];
    }
}

/* Mark what is above the cut of 16 rows from row `row` of the unit on, and leave their values there in
 * the work space, if any is. */
TARGET ALWAYS void NAME(mark)(const ws_transform_job *j, const V *r, int row, marks *k)
{
    uint64_t word[LANES / 4], any = 0;
    V *to = (V *)j->work + row;

    NAME(above)(r, j->cut, word);
#pragma GCC unroll 4
    for (int i = 0; i < LANES / 4; i++) any |= word[i];
    if (any == 0) return;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) to[i] = r[i];
#pragma GCC unroll 4
    for (int i = 0; i < LANES / 4; i++) {
        k->word[k->words] = word[i];
        k->at[k->words] = row * LANES + 64 * i;
        k->words += word[i] != 0;
    }
}

/* The marks of a unit as hits: the first of each word, then the first of what is left of it, and so on
 * until nothing is. How many a word has nobody can guess, so nothing is asked about it. */
TARGET ALWAYS int64_t NAME(keep)(const ws_transform_job *j, marks *k, int row, int lane, int64_t n)
{
    for (int words = k->words, left; words > 0; words = left) {
        left = 0;
        for (int w = 0; w < words; w++) {
            uint64_t m = k->word[w];
            int at = k->at[w], i = at + __builtin_ctzll(m);

            j->at[n] = (uint32_t)((row + i / LANES) * 16 + lane + i % LANES);
            j->z[n++] = j->work[i];
            m &= m - 1;
            k->word[left] = m;
            k->at[left] = at;
            left += m != 0;
        }
    }
    return n;
}

/* The first pass over a unit: to the work space, a line to spare after s. Stride 16, if s is 32, is done
 * here, where one half of it is in registers. */
TARGET ALWAYS void NAME(first_pass)(const ws_transform_job *j, const float *u, const float *g,
                                    const int s, const int two)
{
    V r[16];

    for (int o = 0; o < (s < 16 ? s : 16); o++) {
        V *t = (V *)j->work;

        NAME(fold)(j, u + o * 16, g + o, s, two, r);
        NAME(butterflies)(r, 16);
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++) t[o + (s + 1) * k] = r[k];
        if (s < 32) continue;
        NAME(fold)(j, u + (o + 16) * 16, g + o + 16, s, two, r);
        NAME(butterflies)(r, 16);
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++) {
            V *a = t + o + (s + 1) * k, sum = *a + r[k];

            a[16] = *a - r[k];
            *a = sum;
        }
    }
}

/* A unit of 32 rows, which stays in registers: those of stride 2 from row 0 and from row 1 on, then
 * their sums and differences in turns. */
TARGET ALWAYS void NAME(unit_of_32)(const ws_transform_job *j, const float *u, const float *g,
                                    marks *found)
{
    V r[16], a[16], both[16];

    NAME(fold)(j, u, g, 2, 0, r);
    NAME(butterflies)(r, 16);
    NAME(fold)(j, u + 16, g + 1, 2, 0, a);
    NAME(butterflies)(a, 16);
#pragma GCC unroll 2
    for (int at = 0; at < 16; at += 8) {
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            both[2 * k] = r[at + k] + a[at + k];
            both[2 * k + 1] = r[at + k] - a[at + k];
        }
        NAME(mark)(j, both, 2 * at, found);
    }
}

/* One unit of 16 s rows, the first of which is row `row` of the panel. Values are left at or before
 * the lines that they came from. */
TARGET ALWAYS int64_t NAME(unit)(const ws_transform_job *j, const float *u, const float *g,
                                 const int s, const int q, const int two, int row, int lane,
                                 int64_t n)
{
    V r[16];
    marks found;

    found.words = 0;
    if (s == 1) {
        NAME(fold)(j, u, g, s, two, r);
        NAME(butterflies)(r, q);
        NAME(mark)(j, r, 0, &found);
        return NAME(keep)(j, &found, row, lane, n);
    }
    if (s == 2) {
        NAME(unit_of_32)(j, u, g, &found);
        return NAME(keep)(j, &found, row, lane, n);
    }
    NAME(first_pass)(j, u, g, s, two);
    for (int at = 0; at < 16 * s; at += 16) {
        const V *t = (const V *)j->work + at / s * (s + 1) + at % s;

#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) r[i] = t[s < 16 ? i / s * (s + 1) + i % s : i];
        NAME(butterflies)(r, s < 16 ? s : 16);
        NAME(mark)(j, r, at, &found);
    }
    return NAME(keep)(j, &found, row, lane, n);
}

TARGET ALWAYS int64_t NAME(units)(const ws_transform_job *j, const int s, const int q,
                                  const int two)
{
    int64_t n = 0;

    for (int64_t k = 0; k < j->units; k++)
        for (int lane = 0; lane < 16; lane += LANES)
            n = NAME(unit)(j, j->u + lane, j->g + k * j->chunks * 16 * s, s, q, two,
                           (int)k * 16 * s, lane, n);
    return n;
}

TARGET static void NAME(hadamard)(float *restrict side, double *restrict wide, int64_t q)
{
    for (int64_t k = 0; k < 16 * q; k++) wide[k] = (double)side[k];
    for (int64_t h = 16; h < 16 * q; h *= 2) {
        for (int64_t i = 0; i < 16 * q; i += 2 * h) {
            double *restrict a = wide + i, *restrict b = wide + i + h;

            for (int64_t k = 0; k < h; k++) {
                double d = a[k] - b[k];

                a[k] += b[k];
                b[k] = d;
            }
        }
    }
    for (int64_t k = 0; k < 16 * q; k++) side[k] = (float)wide[k];
}

/* ---- one chunk by itself: what is next to each other in a vector, then vectors ---- */

enum { NAME(wide) = LANES / 2 };

#if LANES == 16
#define FIRST(a, b, c, d, e, f, g, h) a, b, c, d, e, f, g, h
#elif LANES == 8
#define FIRST(a, b, c, d, e, f, g, h) a, b, c, d
#else
#define FIRST(a, b, c, d, e, f, g, h) a, b
#endif

typedef double NAME(reals) __attribute__((vector_size(4 * LANES), may_alias));
typedef float NAME(halves) __attribute__((vector_size(2 * LANES), may_alias, aligned(4)));
#define D NAME(reals)
#define H NAME(halves)

/* Strides 1, 2, 4 below q and NAME(wide): of a and b there become a + b and a - b. The longer lists are
 * for the longest vector. */
TARGET ALWAYS D NAME(inside)(D v, int64_t q)
{
    if (q > 1)
        v = __builtin_shufflevector(v, v, FIRST(1, 0, 3, 2, 5, 4, 7, 6)) +
            v * (D){FIRST(1, -1, 1, -1, 1, -1, 1, -1)};
#if LANES > 4
    if (q > 2)
        v = __builtin_shufflevector(v, v, FIRST(2, 3, 0, 1, 6, 7, 4, 5)) +
            v * (D){FIRST(1, 1, -1, -1, 1, 1, -1, -1)};
#endif
#if LANES > 8
    if (q > 4)
        v = __builtin_shufflevector(v, v, FIRST(4, 5, 6, 7, 0, 1, 2, 3)) +
            v * (D){FIRST(1, 1, 1, 1, -1, -1, -1, -1)};
#endif
    return v;
}

TARGET ALWAYS void NAME(long_chunk)(const float *restrict in, float *restrict out, int64_t q,
                                    double scale)
{
    double wide[WS_BLOCK_ROWS] __attribute__((aligned(64)));
    const int64_t step = NAME(wide);

    for (int64_t k = q; k < step; k++) wide[k] = 0;
    for (int64_t k = 0; k < q; k++) wide[k] = (double)in[k];
    for (int64_t k = 0; k < q; k += step) {
        D *v = (D *)(void *)(wide + k);

        *v = NAME(inside)(*v, q);
    }
    for (int64_t h = step; h < q; h *= 2) {
        for (int64_t i = 0; i < q; i += 2 * h) {
            for (int64_t k = i; k < i + h; k += step) {
                D *a = (D *)(void *)(wide + k), *b = (D *)(void *)(wide + k + h), less = *a - *b;

                *a += *b;
                *b = less;
            }
        }
    }
    for (int64_t k = 0; k < q; k++) out[k] = (float)(wide[k] * scale);
}

/* A short chunk stays in registers: 0.5 instead of 0.83 ns a number for one of 32. */
TARGET ALWAYS void NAME(short_chunk)(const float *restrict in, float *restrict out, const int q,
                                     double scale)
{
    enum { step = NAME(wide) };
    D v[32 / step];

#pragma GCC unroll 16
    for (int k = 0; k < q / step; k++) {
        const H *from = (const H *)(const void *)(in + k * step);

        v[k] = NAME(inside)(__builtin_convertvector(*from, D), q);
    }
#pragma GCC unroll 4
    for (int h = 1; h < q / step; h *= 2) {
#pragma GCC unroll 16
        for (int k = 0; k < q / step; k++) {
            if (k & h) continue;
            D less = v[k] - v[k + h];
            v[k] += v[k + h];
            v[k + h] = less;
        }
    }
#pragma GCC unroll 16
    for (int k = 0; k < q / step; k++)
        *(H *)(void *)(out + k * step) = __builtin_convertvector(v[k] * scale, H);
}

TARGET static void NAME(chunk)(const float *restrict in, float *restrict out, int64_t q,
                               double scale)
{
    if (q == 32)
        NAME(short_chunk)(in, out, 32, scale);
    else
        NAME(long_chunk)(in, out, q, scale);
}

#undef D
#undef H
#undef FIRST

#define CASE(q)                                                                                    \
    case q:                                                                                        \
        return NAME(units)(j, (q) < 16 ? 1 : (q) / 16, q, 0);

TARGET static int64_t NAME(list)(const ws_transform_job *j)
{
    switch (j->q) {
        CASE(1)
        CASE(2)
        CASE(4)
        CASE(8)
        CASE(16)
        CASE(32)
        CASE(64)
        CASE(128)
        CASE(256)
    default:
        return j->chunks == 2 ? NAME(units)(j, 32, 512, 1) : NAME(units)(j, 32, 512, 0);
    }
}

static const ws_transform_loops NAME(loops) = {NAME(list), NAME(hadamard), NAME(chunk)};

#undef CASE
#undef ALWAYS
#undef V
