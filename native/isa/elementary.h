// Elementary functions on 16 lanes, of our own so that every machine gets the same bits (libm's differ between
// versions). Relative errors were measured against float64 and are tested.
#pragma once

#include "isa/lanes.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// x 2^n for whole n from -150 to 128 and x near 1.
LANES_INLINE Floats timesPowerOfTwo(Floats x, Floats n) {
#if defined(__AVX512F__)
  LANES_EACH(x.part[i] = (Floats::Part)_mm512_maskz_scalef_ps(0xffff, (__m512)x.part[i], (__m512)n.part[i]));
  return x;
#else
  // In two factors, of which the first rounds nothing: one alone could not express n = 128 nor subnormal results.
  const Ints whole = toInts(n);
  const Ints half = whole >> 1;
  const Floats scale1 = as<Floats>((half + 127) << 23);
  const Floats scale2 = as<Floats>((whole - half + 127) << 23);
  return (x * scale1) * scale2;
#endif
}

// e^x within 1.5e-7 relative; 0 below -104, Infinity above 88.73, NaN for NaN; subnormal results are right.
LANES_INLINE Floats exponential(Floats x) {
  x = atMost(atLeast(x, -104.0f), 89.0f);
  // x = n ln 2 + r, |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to the nearest integer; ln 2 is taken in two
  // parts of which the first has few bits, so that n times it is exact.
  const float rounder = 12582912.0f;
  const Floats n = fused(x, 1.44269504f, rounder) - rounder;
  const Floats r = fused(n, 2.12194440e-4f, fused(n, -0.693359375f, x));
  // 1 + r + r² q(r), where q was fitted by least squares, reweighted towards the least largest relative error (3.1e-9).
  Floats p = fused(r, 0.00138145395f, 0.00836874545f);
  p = fused(p, r, 0.0416683890f);
  p = fused(p, r, 0.166665211f);
  p = fused(p, r, 0.499999940f);
  p = fused(p, r, 1.0f);
  p = fused(p, r, 1.0f);
  return timesPowerOfTwo(p, n);
}

// What gelu and its gradient are made of: Φ(x), and φ(x) = Φ'(x).
struct Normal {
  Floats cdf, density;
};

// Φ(-|x|) = erfc(z) / 2 with z = |x| / √2 and erfc(z) = e^(-z²) t P(t), t = 1 / (1 + 0.38 z). P was fitted to
// erfcx(z) / t on 0 <= z <= 15 by least squares, reweighted towards the least largest relative error (3e-8);
// in float32 Φ is within 1e-7 absolute, and Φ(-|x|) within 1.5e-6 relative where it is normal.
LANES_INLINE Normal normal(Floats x) {
  const Floats magnitude = as<Floats>(as<Ints>(x) & 0x7fffffff);
  const Floats z = magnitude * 0.70710678f;
  const Floats t = all(1.0f) / (z * 0.38f + 1.0f);
  Floats p = t * 0.057794880121946335f - 0.25702518224716187f;
  p = p * t + 0.35392996668815613f;
  p = p * t - 0.15117450058460236f;
  p = p * t + 0.22367075085639954f;
  p = p * t + 0.14103607833385468f;
  p = p * t + 0.20337793231010437f;
  p = p * t + 0.21398212015628815f;
  p = p * t + 0.21440792083740234f;
  const Floats bell = exponential((magnitude * magnitude) * -0.5f);
  const Floats tail = (bell * 0.5f) * (t * p);
  return {select(x < 0.0f, tail, all(1.0f) - tail), bell * 0.398942280f};
}

// x Φ(x). Below -20 Φ is 0, and the clamp keeps -Infinity from becoming NaN.
LANES_INLINE Floats gelu(Floats x) { return atLeast(x, -20.0f) * normal(x).cdf; }

// Φ(x) + x φ(x), clamped for the same reason.
LANES_INLINE Floats geluSlope(Floats x) {
  x = atMost(atLeast(x, -20.0f), 20.0f);
  const Normal n = normal(x);
  return n.cdf + x * n.density;
}

// σ(x) = 1 / (1 + e^-x) and σ(-x) = 1 - σ(x), each within 3e-7 relative where it is normal: of the two exponentials the one
// that is at most 1 is taken, and nothing cancels.
struct Logistic {
  Floats value, complement;
};

LANES_INLINE Logistic logistic(Floats x) {
  const Floats magnitude = as<Floats>(as<Ints>(x) & 0x7fffffff);
  const Floats e = exponential(Floats{} - magnitude);  // which keeps NaN's sign; a compiler may turn that of a product with -1
  const Floats larger = all(1.0f) / (e + 1.0f), smaller = e * larger;
  const Ints negative = x < 0.0f;
  return {select(negative, smaller, larger), select(negative, larger, smaller)};
}

// x σ(x). Below -104 e^x is 0, and the clamp keeps -Infinity from becoming NaN.
LANES_INLINE Floats swish(Floats x) { return atLeast(x, -104.0f) * logistic(x).value; }

// σ(x) (1 + x σ(-x)), clamped for the same reason.
LANES_INLINE Floats swishSlope(Floats x) {
  x = atMost(atLeast(x, -104.0f), 104.0f);
  const Logistic l = logistic(x);
  return l.value * (x * l.complement + 1.0f);
}

// ln x in float64 for x >= the smallest normal number: x = 2^e m with √½ <= m < √2, and ln m = 2 artanh(s),
// s = (m - 1) / (m + 1), |s| < 0.172: twelve terms of its series reach float64's precision.
LANES_INLINE double logarithm(float x) {
  if (!(x < __builtin_inff())) return x;
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  int exponent = static_cast<int>(bits >> 23) - 127;
  bits = (bits & 0x7fffff) | 0x3f800000;
  float mantissa;
  __builtin_memcpy(&mantissa, &bits, 4);
  double m = mantissa;
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  const double s = (m - 1) / (m + 1), square = s * s;
  double series = 0;
  for (int i = 23; i >= 1; i -= 2) series = series * square + 1.0 / i;
  return exponent * 0.69314718055994531 + 2 * s * series;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
