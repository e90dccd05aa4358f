/* fmath.h - elementary functions with the same bits on every machine.
 *
 * libm differs between machines and versions; wherever bits decide a run these are used
 * instead.  Only + - * / sqrt, comparisons and integer operations, in a fixed order, never
 * contracted.  Each is within 2 ulp over the whole double range, and gives what C's Annex F
 * says for infinities, zeros and NaN.  None is collective, none sets errno. */
#ifndef WS_CORE_FMATH_H
#define WS_CORE_FMATH_H

double ws_exp(double x);
double ws_expm1(double x);
double ws_log(double x);
double ws_log1p(double x);
double ws_tanh(double x);
double ws_erfc(double x);
double ws_sin(double x);
double ws_cos(double x);

/** Both at once, for x in [0, 2 pi] at least as exact as the single ones. */
void ws_sincos(double x, double *s, double *c);

/** The Gaussian tail Q(t) = P[N(0,1) > t]. */
double ws_gauss_tail(double t);

#endif
