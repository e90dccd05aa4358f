/* probe_kernel.h - four rows at a time, so that samples are loaded once for all; for a vector of
 * LANES doubles, VEC, and its operations; and near products with one row in each float of SINGLES.
 *
 * Virtual lanes come in the order of the tree of core/dot.h, one sum after the other. The products
 * are exact, so fused sums are the same sums. */

TARGET static void NAME(four)(const double *wide, const double *columns, int64_t groups, int64_t d,
                              double *z, int64_t stride)
{
    for (int64_t g = 0; g < groups * (8 / LANES); g++) {
        const double *x = columns + g / (8 / LANES) * 8 * d + g % (8 / LANES) * LANES;
        VEC half[2][4];

#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            VEC quarter[2][4];

#pragma GCC unroll 2
            for (int q = 0; q < 2; q++) {
                VEC sum[2][4];

#pragma GCC unroll 2
                for (int e = 0; e < 2; e++) {
                    VEC a[4], b[4];
                    int64_t j = h + 2 * q + 4 * e;

#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++) a[i] = b[i] = SET(0);
                    for (; j + 8 < d; j += 16) {
                        VEC u = LOAD(x + 8 * j), v = LOAD(x + 8 * j + 64);

#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++) {
                            a[i] = FMA(SET(wide[i * d + j]), u, a[i]);
                            b[i] = FMA(SET(wide[i * d + j + 8]), v, b[i]);
                        }
                    }
                    if (j < d) {
                        VEC u = LOAD(x + 8 * j);

#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++) a[i] = FMA(SET(wide[i * d + j]), u, a[i]);
                    }
#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++) sum[e][i] = ADD(a[i], b[i]);
                }
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) quarter[q][i] = ADD(sum[0][i], sum[1][i]);
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) half[h][i] = ADD(quarter[0][i], quarter[1][i]);
        }
        for (int i = 0; i < 4; i++) STORE(z + i * stride + LANES * g, ADD(half[0][i], half[1][i]));
    }
}

TARGET static void NAME(rows)(const float *w, int64_t k, const double *columns, int64_t groups,
                              int64_t d, double *wide, double *z)
{
    int64_t stride = 8 * groups;

    for (int64_t i = 0; i < k; i += 4) {
        int64_t few = k - i < 4 ? k - i : 4;
        double *to = few == 4 ? z + i * stride : wide + 4 * d;

        for (int64_t j = 0; j < few * d; j++) wide[j] = (double)w[i * d + j];
        NAME(four)(wide, columns, groups, d, to, stride);
        if (few < 4) memcpy(z + i * stride, to, (size_t)(few * stride) * sizeof *z);
    }
}

/* The largest near product of each row, columns 16 apart, over all samples. */
TARGET static inline SINGLES NAME(most)(const float *cols, const float *scaled, int64_t groups,
                                        int64_t d)
{
    SINGLES most = EACH(-3e38f);

    for (int64_t g = 0; g < groups; g++) {
        const float *x = scaled + g * 8 * d;
        SINGLES z[8];

#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) z[i] = EACH(0);
        for (int64_t j = 0; j < d; j++) {
            SINGLES w = TAKE(cols + 16 * j);

#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) z[i] = FUSE(w, EACH(x[8 * j + i]), z[i]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) most = MOST(most, z[i]);
    }
    return most;
}
