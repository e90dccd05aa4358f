/* quant_simd.c - products of bytes for six rows and a panel of 64 samples, and the comparison.
 *
 * The path follows ws_simd_name(); avx512 also needs VNNI, which sums four products of bytes into
 * 32 bits in one instruction, and is avx2 here where the processor lacks it. AVX2 adds two products
 * in 16 bits with saturation, so that samples have 7 bits there: twice the loss, never a wrong sum.
 * SSE2 multiplies in 16 bits. Sums that wrap in 32 bits are right again once the middle is taken off. */
#include "quant.h"

#include <immintrin.h>
#include <string.h>

#include "wingspan/core/dot.h"

enum { LANES = WS_QUANT_LANES, ROWS = WS_QUANT_ROWS };

/* ---- portable: SSE2, which every x86-64 has ---- */

enum { PIECE = 64 }; /* groups of four coordinates widened at a time */

/* Four bytes of each row as 16-bit numbers, twice: for two samples. */
typedef int16_t wide[ROWS][8];

static void widen(const int8_t *const q[ROWS], int64_t from, int64_t groups, wide *to)
{
    for (int64_t j = 0; j < groups; j++)
        for (int k = 0; k < ROWS; k++)
            for (int b = 0; b < 8; b++) to[j][k][b] = q[k][from + 4 * j + b % 4];
}

/* Four samples against six rows: two registers of sums of pairs a row. */
static void product_part(const uint8_t *x, const wide *w, int64_t groups, int32_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i lo[ROWS], hi[ROWS];

    for (int k = 0; k < ROWS; k++) lo[k] = hi[k] = zero;
    for (int64_t j = 0; j < groups; j++, x += 4 * LANES) {
        __m128i v = _mm_load_si128((const __m128i *)(const void *)x);
        __m128i a = _mm_unpacklo_epi8(v, zero), b = _mm_unpackhi_epi8(v, zero);

        for (int k = 0; k < ROWS; k++) {
            __m128i row = _mm_load_si128((const __m128i *)(const void *)w[j][k]);

            lo[k] = _mm_add_epi32(lo[k], _mm_madd_epi16(a, row));
            hi[k] = _mm_add_epi32(hi[k], _mm_madd_epi16(b, row));
        }
    }
    for (int k = 0; k < ROWS; k++) {
        __m128i *to = (__m128i *)(void *)(out + k * LANES);
        __m128i even =
            _mm_unpacklo_epi64(_mm_shuffle_epi32(lo[k], 0x08), _mm_shuffle_epi32(hi[k], 0x08));
        __m128i odd =
            _mm_unpacklo_epi64(_mm_shuffle_epi32(lo[k], 0x0d), _mm_shuffle_epi32(hi[k], 0x0d));

        _mm_store_si128(to, _mm_add_epi32(_mm_load_si128(to), _mm_add_epi32(even, odd)));
    }
}

static void product_portable(const uint8_t *panel, const int8_t *const q[ROWS], int64_t stride,
                             int32_t *out)
{
    _Alignas(16) wide w[PIECE];

    memset(out, 0, ROWS * LANES * sizeof *out);
    for (int64_t j = 0; j < stride; j += 4 * PIECE) {
        int64_t groups = stride - j < 4 * PIECE ? (stride - j) / 4 : PIECE;

        widen(q, j, groups, w);
        for (int l = 0; l < LANES; l += 4)
            product_part(panel + j * LANES + 4 * l, (const wide *)w, groups, out + l);
    }
}

/* The sum less that of the middle: 32 bits hold the difference, whatever wraps on the way. */
static inline float centred(int32_t product, int32_t middle, int32_t total)
{
    return (float)(int32_t)((uint32_t)product - (uint32_t)middle * (uint32_t)total);
}

static int64_t keep_portable(const int32_t *product, int32_t middle, const ws_quant_row *row,
                             float cut, const ws_quant_side *side, int32_t base, int32_t *col)
{
    int64_t n = 0;

    for (int l = 0; l < LANES; l++) {
        float z = row->scale * side->scale[l] * centred(product[l], middle, row->total) +
                  row->sum * side->centre[l] + row->lost * side->norm[l] +
                  row->norm * side->lost[l];

        col[n] = base + l;
        n += !(z <= cut);
    }
    return n;
}

static const ws_quant_ops portable = {255, 0, product_portable, keep_portable};

/* ---- AVX2 ---- */

#define AVX2 __attribute__((target("avx2,fma")))

/* Four bytes of a row, eight times. */
AVX2 static inline __m256i four(const int8_t *q)
{
    int32_t v;

    memcpy(&v, q, sizeof v);
    return _mm256_set1_epi32(v);
}

AVX2 static inline __m256i add_products(__m256i sum, __m256i x, __m256i w)
{
    __m256i pairs = _mm256_maddubs_epi16(x, w);

    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Two rows and 32 samples at a time: eight registers of sums. */
AVX2 static void product_avx2_part(const uint8_t *panel, const int8_t *a, const int8_t *b,
                                   int64_t stride, int32_t *to_a, int32_t *to_b)
{
    __m256i a0 = _mm256_setzero_si256(), a1 = a0, a2 = a0, a3 = a0;
    __m256i b0 = a0, b1 = a0, b2 = a0, b3 = a0;

    for (int64_t j = 0; j < stride; j += 4, panel += 4 * LANES) {
        const __m256i *x = (const __m256i *)(const void *)panel;
        __m256i wa = four(a + j), wb = four(b + j);

        a0 = add_products(a0, _mm256_load_si256(x), wa);
        b0 = add_products(b0, _mm256_load_si256(x), wb);
        a1 = add_products(a1, _mm256_load_si256(x + 1), wa);
        b1 = add_products(b1, _mm256_load_si256(x + 1), wb);
        a2 = add_products(a2, _mm256_load_si256(x + 2), wa);
        b2 = add_products(b2, _mm256_load_si256(x + 2), wb);
        a3 = add_products(a3, _mm256_load_si256(x + 3), wa);
        b3 = add_products(b3, _mm256_load_si256(x + 3), wb);
    }
    __m256i *oa = (__m256i *)(void *)to_a, *ob = (__m256i *)(void *)to_b;
    _mm256_store_si256(oa, a0);
    _mm256_store_si256(oa + 1, a1);
    _mm256_store_si256(oa + 2, a2);
    _mm256_store_si256(oa + 3, a3);
    _mm256_store_si256(ob, b0);
    _mm256_store_si256(ob + 1, b1);
    _mm256_store_si256(ob + 2, b2);
    _mm256_store_si256(ob + 3, b3);
}

AVX2 static void product_avx2(const uint8_t *panel, const int8_t *const q[ROWS], int64_t stride,
                              int32_t *out)
{
    for (int half = 0; half < LANES; half += LANES / 2)
        for (int k = 0; k < ROWS; k += 2)
            product_avx2_part(panel + 4 * half, q[k], q[k + 1], stride, out + k * LANES + half,
                              out + (k + 1) * LANES + half);
}

AVX2 static int64_t keep_avx2(const int32_t *product, int32_t middle, const ws_quant_row *row,
                              float cut, const ws_quant_side *side, int32_t base, int32_t *col)
{
    const __m256 scale = _mm256_set1_ps(row->scale), sum = _mm256_set1_ps(row->sum);
    const __m256 lost = _mm256_set1_ps(row->lost), norm = _mm256_set1_ps(row->norm);
    const __m256 c = _mm256_set1_ps(cut);
    const __m256i less =
        _mm256_mullo_epi32(_mm256_set1_epi32(middle), _mm256_set1_epi32(row->total));
    int64_t n = 0;

    for (int l = 0; l < LANES; l += 8) {
        __m256i p = _mm256_load_si256((const __m256i *)(const void *)(product + l));
        __m256 z = _mm256_mul_ps(_mm256_mul_ps(scale, _mm256_loadu_ps(side->scale + l)),
                                 _mm256_cvtepi32_ps(_mm256_sub_epi32(p, less)));
        z = _mm256_fmadd_ps(sum, _mm256_loadu_ps(side->centre + l), z);
        z = _mm256_fmadd_ps(lost, _mm256_loadu_ps(side->norm + l), z);
        z = _mm256_fmadd_ps(norm, _mm256_loadu_ps(side->lost + l), z);
        unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(z, c, _CMP_NLE_UQ));

        for (; mask; mask &= mask - 1) col[n++] = base + l + __builtin_ctz(mask);
    }
    return n;
}

static const ws_quant_ops avx2 = {127, 1, product_avx2, keep_avx2};

/* ---- AVX-512 with VNNI ---- */

#define VNNI __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")))

/* Four bytes of row k against the four registers of a panel. */
#define ROW(k, t, a, b, c, d)                                                                      \
    "vpbroadcastd (%[q" k "],%[j]), %%zmm" t "\n\t"                                                \
    "vpdpbusd %%zmm" t ", %%zmm0, %%zmm" a "\n\t"                                                  \
    "vpdpbusd %%zmm" t ", %%zmm1, %%zmm" b "\n\t"                                                  \
    "vpdpbusd %%zmm" t ", %%zmm2, %%zmm" c "\n\t"                                                  \
    "vpdpbusd %%zmm" t ", %%zmm3, %%zmm" d "\n\t"
#define CLEAR(a, b, c, d)                                                                          \
    "vpxord %%zmm" a ", %%zmm" a ", %%zmm" a "\n\t"                                                \
    "vpxord %%zmm" b ", %%zmm" b ", %%zmm" b "\n\t"                                                \
    "vpxord %%zmm" c ", %%zmm" c ", %%zmm" c "\n\t"                                                \
    "vpxord %%zmm" d ", %%zmm" d ", %%zmm" d "\n\t"
#define STORE(at, a, b, c, d)                                                                      \
    "vmovdqa64 %%zmm" a ", " at "*256(%[out])\n\t"                                                 \
    "vmovdqa64 %%zmm" b ", " at "*256+64(%[out])\n\t"                                              \
    "vmovdqa64 %%zmm" c ", " at "*256+128(%[out])\n\t"                                             \
    "vmovdqa64 %%zmm" d ", " at "*256+192(%[out])\n\t"

/* 24 registers of sums, all in one block: compilers spill them if the loop is theirs. */
VNNI static void product_vnni(const uint8_t *panel, const int8_t *const q[ROWS], int64_t stride,
                              int32_t *out)
{
    int64_t j = 0;

    if (stride == 0) {
        memset(out, 0, ROWS * LANES * sizeof *out);
        return;
    }
    __asm__ volatile(
        CLEAR("8", "9", "10", "11") CLEAR("12", "13", "14", "15") CLEAR("16", "17", "18", "19")
            CLEAR("20", "21", "22", "23") CLEAR("24", "25", "26", "27") CLEAR(
                "28", "29", "30",
                "31") ".p2align 5\n"
                      "1:\n\t"
                      "vmovdqa64 (%[x]), %%zmm0\n\t"
                      "vmovdqa64 64(%[x]), %%zmm1\n\t"
                      "vmovdqa64 128(%[x]), %%zmm2\n\t"
                      "vmovdqa64 192(%[x]), %%zmm3\n\t" ROW("0", "4", "8", "9", "10", "11") ROW(
                          "1", "5", "12", "13", "14", "15") ROW("2", "6", "16", "17", "18", "19")
                          ROW("3", "7", "20", "21", "22", "23")
                              ROW("4", "4", "24", "25", "26", "27")
                                  ROW("5", "5", "28", "29", "30",
                                      "31") "addq $256, %[x]\n\t"
                                            "addq $4, %[j]\n\t"
                                            "cmpq %[end], %[j]\n\t"
                                            "jne 1b\n\t" STORE("0", "8", "9", "10", "11")
                                                STORE("1", "12", "13", "14", "15")
                                                    STORE("2", "16", "17", "18", "19")
                                                        STORE("3", "20", "21", "22", "23")
                                                            STORE("4", "24", "25", "26", "27")
                                                                STORE("5", "28", "29", "30", "31")
        : [x] "+r"(panel), [j] "+r"(j)
        : [q0] "r"(q[0]), [q1] "r"(q[1]), [q2] "r"(q[2]), [q3] "r"(q[3]), [q4] "r"(q[4]),
          [q5] "r"(q[5]), [end] "r"(stride), [out] "r"(out)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
          "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",
          "xmm29", "xmm30", "xmm31");
}

VNNI static int64_t keep_vnni(const int32_t *product, int32_t middle, const ws_quant_row *row,
                              float cut, const ws_quant_side *side, int32_t base, int32_t *col)
{
    const __m512 scale = _mm512_set1_ps(row->scale), sum = _mm512_set1_ps(row->sum);
    const __m512 lost = _mm512_set1_ps(row->lost), norm = _mm512_set1_ps(row->norm);
    const __m512 c = _mm512_set1_ps(cut);
    const __m512i less =
        _mm512_mullo_epi32(_mm512_set1_epi32(middle), _mm512_set1_epi32(row->total));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    int64_t n = 0;

    for (int l = 0; l < LANES; l += 16) {
        __m512i p = _mm512_load_si512(product + l);
        __m512 z = _mm512_mul_ps(_mm512_mul_ps(scale, _mm512_loadu_ps(side->scale + l)),
                                 _mm512_cvtepi32_ps(_mm512_sub_epi32(p, less)));
        z = _mm512_fmadd_ps(sum, _mm512_loadu_ps(side->centre + l), z);
        z = _mm512_fmadd_ps(lost, _mm512_loadu_ps(side->norm + l), z);
        z = _mm512_fmadd_ps(norm, _mm512_loadu_ps(side->lost + l), z);
        __mmask16 above = _mm512_cmp_ps_mask(z, c, _CMP_NLE_UQ);

        /* No branch: with a few hits a panel it would be mispredicted time and again. */
        __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32(base + l));
        _mm512_storeu_si512(col + n, _mm512_maskz_compress_epi32(above, at));
        n += __builtin_popcount(above);
    }
    return n;
}

static const ws_quant_ops vnni = {255, 1, product_vnni, keep_vnni};

/* ---- choice ---- */

const ws_quant_ops *ws_quant_path(void)
{
    const char *path = ws_simd_name();

    if (strcmp(path, "portable") == 0) return &portable;
    if (strcmp(path, "avx512") == 0 && __builtin_cpu_supports("avx512vnni")) return &vnni;
    return &avx2;
}
