/* random.c - Philox4x32-10, and normal numbers from it.
 *
 * Normal numbers come four a block: two pairs by Box and Muller (1958), 32 bits for the radius and
 * 32 for the angle, so that none is beyond 6.8. A chunk of blocks is worked on with plain loops
 * that vectorise; only IEEE operations in a fixed order, so the bits are the same on every unit. */
#include "wingspan/core/random.h"

#include <string.h>

#include "fmath_impl.h"

static inline void round_once(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];

    c[0] = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)a;
}

static inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int r = 0; r < 10; r++) {
        round_once(c, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

void ws_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4];

    memcpy(c, ctr, sizeof c);
    philox(c, key[0], key[1]);
    memcpy(out, c, sizeof c);
}

void ws_random_block(const ws_key *k, uint64_t id, uint32_t j, uint32_t out[4])
{
    out[0] = j;
    out[1] = (uint32_t)id;
    out[2] = (uint32_t)(id >> 32);
    out[3] = (uint32_t)k->stream << 24 | k->layer;
    philox(out, (uint32_t)k->seed, (uint32_t)(k->seed >> 32));
}

enum { CHUNK = 16 }; /* blocks at a time: 64 numbers */

/* log(u) of a number in (0, 1), by the kernel of ws_log. */
static inline double log_of(double u)
{
    uint64_t b = ws_bits(u), m = b & 0xfffffffffffffu, up = m >= 0x6a09e667f3bcdu;
    double f = ws_from_bits(m | (1023 - up) << 52) - 1;
    double k = (double)((int32_t)(uint32_t)(b >> 52) - 1023 + (int32_t)up);
    double s = f / (2 + f), z = s * s;

    return k * WS_LN2_HI - ((s * (f - z * ws_log_tail(z)) - k * WS_LN2_LO) - f);
}

/* A pair of normal numbers from a radius word and an angle word. */
static inline void pair_of(uint32_t radius, uint32_t angle, double scale, float *a, float *b)
{
    double r = scale * sqrt(-2 * log_of(((double)radius + 0.5) * 0x1p-32));
    uint32_t q = (angle + (1u << 29)) >> 30; /* quarter turns, rounded */
    double y = (double)(int32_t)(angle - (q << 30)) * 0x1.921fb54442d18p-30;
    double z = y * y, s = y + y * z * ws_sin_tail(z);
    double c = 1 - 0.5 * z + z * z * ws_cos_tail(z);
    double si = q & 1 ? c : s, co = q & 1 ? s : c;

    *a = (float)(r * ((q + 1) & 2 ? -co : co));
    *b = (float)(r * (q & 2 ? -si : si));
}

static void chunk(const ws_key *key, uint64_t id, uint32_t first, double scale,
                  float out[4 * CHUNK])
{
    uint32_t w[CHUNK][4];

    for (int i = 0; i < CHUNK; i++) ws_random_block(key, id, first + (uint32_t)i, w[i]);
    for (int i = 0; i < CHUNK; i++) {
        pair_of(w[i][0], w[i][1], scale, out + 4 * i, out + 4 * i + 1);
        pair_of(w[i][2], w[i][3], scale, out + 4 * i + 2, out + 4 * i + 3);
    }
}

void ws_random_normal(const ws_key *k, uint64_t id, int64_t d, double scale, float *row)
{
    float out[4 * CHUNK];

    for (int64_t j = 0; j < d; j += 4 * CHUNK) {
        int64_t n = d - j < 4 * CHUNK ? d - j : 4 * CHUNK;
        chunk(k, id, (uint32_t)(j / 4), scale, out);
        memcpy(row + j, out, (size_t)n * sizeof *row);
    }
}

double ws_random_uniform(const ws_key *k, uint64_t id, uint32_t j)
{
    uint32_t w[4];

    ws_random_block(k, id, j, w);
    return (double)((uint64_t)w[0] << 21 | w[1] >> 11) * 0x1p-53;
}

void ws_random_permutation(const ws_key *k, uint64_t id, int64_t n, int64_t *perm)
{
    uint32_t j = 0;

    for (int64_t i = 0; i < n; i++) perm[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        uint64_t range = (uint64_t)i + 1, limit = UINT64_MAX - UINT64_MAX % range, v;
        int64_t at, swap;
        do { /* a draw from the incomplete last run of `range` numbers is thrown away */
            uint32_t w[4];
            ws_random_block(k, id, j++, w);
            v = (uint64_t)w[0] << 32 | w[1];
        } while (v >= limit);
        at = (int64_t)(v % range);
        swap = perm[i];
        perm[i] = perm[at];
        perm[at] = swap;
    }
}
