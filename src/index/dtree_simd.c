/* dtree_simd.c - one pass over a block: leaves change, maxima go up.
 *
 * A sample's four nodes are one vector of 4, four samples' one of 16.  All paths do the same
 * operations and write the same numbers. */
#include "dtree.h"

#include <immintrin.h>
#include <string.h>

#include "wingspan/core/dot.h"

#include "leaves.h"

static __m128 choose(__m128 mask, __m128 a, __m128 b)
{
    return _mm_or_ps(_mm_and_ps(mask, a), _mm_andnot_ps(mask, b));
}

/* All bits of the lanes that are set. */
static __m128 lanes_of(unsigned bits)
{
    return _mm_castsi128_ps(_mm_setr_epi32(-(int)(bits & 1), -(int)(bits >> 1 & 1),
                                           -(int)(bits >> 2 & 1), -(int)(bits >> 3 & 1)));
}

static int move_portable(const ws_dtree_block *b)
{
    const __m128 moved = lanes_of(b->moved), anew = lanes_of(b->anew),
                 lane = lanes_of(1u << b->lane);
    const float *c = b->change;
    __m128 changed = _mm_setzero_ps();

    for (int64_t i = 0; i < b->stride; i++) {
        __m128 v = _mm_load_ps(b->node + 4 * i), old;

        if (b->moved) {
            __m128 add =
                _mm_setr_ps(c[i], c[i + b->stride], c[i + 2 * b->stride], c[i + 3 * b->stride]);

            v = choose(moved, choose(anew, add, ws_leaves_add(v, add)), v);
            _mm_store_ps(b->node + 4 * i, v);
        }
        if (!b->up) continue;
        v = _mm_max_ps(v, _mm_shuffle_ps(v, v, 0xb1));
        v = _mm_max_ps(v, _mm_shuffle_ps(v, v, 0x4e));
        old = _mm_load_ps(b->up + 4 * i);
        v = choose(lane, v, old);
        changed = _mm_or_ps(changed, _mm_cmpneq_ps(v, old));
        _mm_store_ps(b->up + 4 * i, v);
    }
    return _mm_movemask_ps(changed) != 0;
}

/* ws_leaves_add() for 16. */
__attribute__((target("avx512f"))) static __m512 add16(__m512 leaf, __m512 change)
{
    __m512 sum = _mm512_add_ps(leaf, change), size = _mm512_abs_ps(sum);
    __mmask16 bound = _mm512_cmp_ps_mask(size, _mm512_set1_ps(FLT_MAX / 2), _CMP_LT_OQ);

    sum = _mm512_add_ps(sum, _mm512_mul_ps(size, _mm512_set1_ps(WS_LEAVES_ROOM)));
    return _mm512_mask_mov_ps(_mm512_set1_ps(INFINITY), bound, sum);
}

__attribute__((target("avx512f"))) static int move_avx512(const ws_dtree_block *b)
{
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __mmask16 lane = (__mmask16)(0x1111u << b->lane);
    __mmask16 changed = 0;

    for (int64_t i = 0; i < b->stride; i += 4) {
        __m512 v = _mm512_load_ps(b->node + 4 * i), old;

        for (unsigned left = b->moved; left; left &= left - 1) {
            int l = __builtin_ctz(left);
            __m512 c = _mm512_castps128_ps512(_mm_load_ps(b->change + l * b->stride + i));

            c = _mm512_permutexvar_ps(spread, c);
            if (!(b->anew >> l & 1)) c = add16(v, c);
            v = _mm512_mask_mov_ps(v, (__mmask16)(0x1111u << l), c);
        }
        if (b->moved) _mm512_store_ps(b->node + 4 * i, v);
        if (!b->up) continue;
        v = _mm512_max_ps(v, _mm512_permute_ps(v, 0xb1));
        v = _mm512_max_ps(v, _mm512_permute_ps(v, 0x4e));
        old = _mm512_load_ps(b->up + 4 * i);
        changed |= _mm512_mask_cmp_ps_mask(lane, v, old, _CMP_NEQ_UQ);
        _mm512_mask_store_ps(b->up + 4 * i, lane, v);
    }
    return changed != 0;
}

ws_dtree_move *ws_dtree_mover(void)
{
    return strcmp(ws_simd_name(), "avx512") == 0 ? move_avx512 : move_portable;
}
