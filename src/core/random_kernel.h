/* random_kernel.h - what random_lanes.c and random_avx2.c do alike, for one vector unit.
 *
 * Before: LANE, how its functions are declared; the types lanes (ids, 64 bits each), reals (as many
 * doubles) and singles (twice as many floats); all, xor3, high, half_product, weave (words of even and
 * odd ids in halves of 32 bits), quarter_on (a quarter turn more) on lanes; real; single, fused
 * (a b + c), size_of, root (0 where negative), signed_floats and put on singles; split (a word as
 * u = (1 + t) 2^e in (0, 1), t in [-1/4, 1/2]). */

/* Rounds `from` to 9 of Philox on the low halves of lanes; the high halves end as rubbish. */
LANE void rounds(lanes c[4], const int from, uint64_t seed)
{
    const lanes ma = all(0xD2511F53u), mb = all(0xCD9E8D57u);

#pragma GCC unroll 10
    for (int r = from; r < 10; r++) {
        uint32_t k0 = (uint32_t)seed + (uint32_t)r * 0x9E3779B9u;
        uint32_t k1 = (uint32_t)(seed >> 32) + (uint32_t)r * 0xBB67AE85u;
        lanes a = half_product(c[0], ma), b = half_product(c[2], mb);

        c[0] = xor3(high(b), c[1], all(k0));
        c[2] = xor3(high(a), c[3], all(k1));
        c[1] = b;
        c[3] = a;
    }
}

LANE void block_of(const ws_key *k, lanes id, uint32_t j, lanes c[4])
{
    c[0] = all(j);
    c[1] = id;
    c[2] = high(id);
    c[3] = all((uint32_t)k->stream << 24 | k->layer);
    rounds(c, 0, k->seed);
}

/* ws_poly() on lanes: rounded twice a step, as there. */
LANE reals poly(const double *c, const int n, reals x)
{
    reals s = real(c[n - 1]);

#pragma GCC unroll 8
    for (int i = n - 2; i >= 0; i--) s = s * x + c[i];
    return s;
}

/* sqrt(-2 log u); log(1 + t) = t P(t) on [-1/4, 1/2], P to 7e-5. */
LANE singles near_radius(lanes word)
{
    singles e, t, p = single(-2 * 0.1357012291f);

    split(word, &e, &t);
    p = fused(p, t, single(2 * 0.2566522681f));
    p = fused(p, t, single(-2 * 0.3385741891f));
    p = fused(p, t, single(2 * 0.5000501874f));
    p = fused(p, t, single(-2 * 0.9999484807f));
    return root(fused(e, single(-2 * 0.693147181f), p * t));
}

/* sin(pi t), t = word 2^-31 as a signed number, through u = t (1 - |t|): to 3e-5. */
LANE singles near_sine(lanes word)
{
    singles t = signed_floats(word) * single(0x1p-31f);
    singles u = fused(-t, size_of(t), t), v = size_of(u);
    singles p = fused(single(1.194760262f), v, single(3.13409293f));

    return u * fused(p, v, single(3.141696977f));
}

/* Words p and p + 1 of even and odd ids, turned into two numbers of each, to columns 0 and 1. */
LANE void near_pair(const lanes even[4], const lanes odd[4], int p, float *to)
{
    singles r = near_radius(weave(even[p], odd[p]));
    lanes turn = weave(even[p + 1], odd[p + 1]);

    put(to, r * near_sine(quarter_on(turn)));
    put(to + 16, r * near_sine(turn));
}
