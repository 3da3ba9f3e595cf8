// Vectors of 16 lanes (8 of 64 bits): one AVX-512 register, two of AVX2, four of SSE2. Compilers treat a generic
// vector that is wider than a register as memory, so a vector here is a few parts of a register each. Only for
// native/isa.
#pragma once

#include <stddef.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "isa/kernels.h"

#define LANES_INLINE static inline __attribute__((always_inline))

// LANES_EACH(statement) repeats a statement for each part, with `i` its number. Spelled out, since a loop would
// leave the parts in memory.
#define LANES_PART(number, statement) \
  {                                   \
    constexpr int i = number;         \
    statement;                        \
  }
#if defined(__AVX512F__)
#define LANES_PART_BYTES 64
#define LANES_EACH(statement) LANES_PART(0, statement)
#elif defined(__AVX2__)
#define LANES_PART_BYTES 32
#define LANES_EACH(statement) LANES_PART(0, statement) LANES_PART(1, statement)
#else
#define LANES_PART_BYTES 16
#define LANES_EACH(statement) \
  LANES_PART(0, statement) LANES_PART(1, statement) LANES_PART(2, statement) LANES_PART(3, statement)
#endif

namespace lockstep {
namespace LOCKSTEP_ISA {

static constexpr int kParts = 64 / LANES_PART_BYTES;
static constexpr int kPartLanes = LANES_PART_BYTES / 4;  // of 32 bits

template <typename T>
struct Lanes {
  typedef T Part __attribute__((vector_size(LANES_PART_BYTES)));
  typedef T LoosePart __attribute__((vector_size(LANES_PART_BYTES), aligned(alignof(T)), may_alias));
  Part part[kParts];
};
typedef Lanes<float> Floats;
typedef Lanes<int32_t> Ints;  // also the result of comparisons: all bits set, or none
typedef Lanes<uint32_t> Words;
typedef Lanes<uint64_t> Longs;
typedef Lanes<double> Doubles;

// x in every lane (x - 0 rather than 0 + x: that would turn -0 into 0).
template <typename T>
LANES_INLINE Lanes<T> allOf(T x) {
  Lanes<T> v;
  LANES_EACH(v.part[i] = x - typename Lanes<T>::Part{});
  return v;
}
LANES_INLINE Floats all(float x) { return allOf<float>(x); }

// Keeps a scalar operand out of the deduction of T, so that literals convert.
template <typename T>
struct Same {
  typedef T Type;
};

#define LANES_OPERATOR(op)                                                               \
  template <typename T>                                                                  \
  LANES_INLINE Lanes<T> operator op(Lanes<T> a, Lanes<T> b) {                            \
    LANES_EACH(a.part[i] = a.part[i] op b.part[i]);                                      \
    return a;                                                                            \
  }                                                                                      \
  template <typename T>                                                                  \
  LANES_INLINE Lanes<T> operator op(Lanes<T> a, typename Same<T>::Type b) {              \
    return a op allOf<T>(b);                                                             \
  }
LANES_OPERATOR(+)
LANES_OPERATOR(-)
LANES_OPERATOR(*)
LANES_OPERATOR(/)
LANES_OPERATOR(&)
LANES_OPERATOR(|)
LANES_OPERATOR(^)
#undef LANES_OPERATOR

#define LANES_SHIFT(op)                                     \
  template <typename T>                                     \
  LANES_INLINE Lanes<T> operator op(Lanes<T> a, int bits) { \
    LANES_EACH(a.part[i] = a.part[i] op bits);              \
    return a;                                               \
  }
LANES_SHIFT(<<)
LANES_SHIFT(>>)
#undef LANES_SHIFT

#define LANES_COMPARISON(op)                                          \
  template <typename T>                                               \
  LANES_INLINE Ints operator op(Lanes<T> a, Lanes<T> b) {             \
    Ints result;                                                      \
    LANES_EACH(result.part[i] = (Ints::Part)(a.part[i] op b.part[i])); \
    return result;                                                    \
  }                                                                   \
  template <typename T>                                               \
  LANES_INLINE Ints operator op(Lanes<T> a, typename Same<T>::Type b) { \
    return a op allOf<T>(b);                                          \
  }
LANES_COMPARISON(<)
LANES_COMPARISON(>)
LANES_COMPARISON(<=)
LANES_COMPARISON(==)
#undef LANES_COMPARISON

template <typename T>
LANES_INLINE Lanes<T>& operator+=(Lanes<T>& a, Lanes<T> b) {
  return a = a + b;
}
template <typename T>
LANES_INLINE Lanes<T>& operator*=(Lanes<T>& a, Lanes<T> b) {
  return a = a * b;
}

// a * b + c for matrix products: rounded once where the instruction set has the fused instruction, which doubles the rate, so
// SSE2 alone gives other bits. What is not a product says `fused`, or multiplies and adds apart.
LANES_INLINE Floats multiplyAdd(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  LANES_EACH(c.part[i] = (Floats::Part)_mm512_fmadd_ps((__m512)a.part[i], (__m512)b.part[i], (__m512)c.part[i]));
#elif defined(__FMA__)
  LANES_EACH(c.part[i] = (Floats::Part)_mm256_fmadd_ps((__m256)a.part[i], (__m256)b.part[i], (__m256)c.part[i]));
#else
  c += a * b;
#endif
  return c;
}

// a where the mask is set, b elsewhere.
template <typename T>
LANES_INLINE Lanes<T> select(Ints mask, Lanes<T> a, Lanes<T> b) {
  LANES_EACH(a.part[i] = mask.part[i] ? a.part[i] : b.part[i]);
  return a;
}

// The larger or the smaller of x and a bound; NaN stays NaN. The instructions give their second operand where one is NaN. (The forms
// with a mask: GCC 12 warns of its own header in the others.)
LANES_INLINE Floats atLeast(Floats x, float bound) {
#if defined(__AVX512F__)
  LANES_EACH(x.part[i] = (Floats::Part)_mm512_maskz_max_ps(0xffff, _mm512_set1_ps(bound), (__m512)x.part[i]));
  return x;
#else
  return select(x < bound, all(bound), x);
#endif
}
LANES_INLINE Floats atMost(Floats x, float bound) {
#if defined(__AVX512F__)
  LANES_EACH(x.part[i] = (Floats::Part)_mm512_maskz_min_ps(0xffff, _mm512_set1_ps(bound), (__m512)x.part[i]));
  return x;
#else
  return select(x > bound, all(bound), x);
#endif
}

// The same bits as another type.
template <typename To, typename From>
LANES_INLINE To as(From v) {
  To result;
  LANES_EACH(result.part[i] = (typename To::Part)v.part[i]);
  return result;
}
LANES_INLINE Ints toInts(Floats v) {
  Ints result;
  LANES_EACH(result.part[i] = __builtin_convertvector(v.part[i], Ints::Part));
  return result;
}

LANES_INLINE void copyFloats(float* to, const float* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}
LANES_INLINE void zeroFloats(float* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(float));
}

// At any address.
LANES_INLINE Floats load(const float* p) {
  Floats v;
  LANES_EACH(v.part[i] = *reinterpret_cast<const Floats::LoosePart*>(p + i * kPartLanes));
  return v;
}
LANES_INLINE void store(float* p, Floats v) {
  LANES_EACH(*reinterpret_cast<Floats::LoosePart*>(p + i * kPartLanes) = v.part[i]);
}

// At an address that is a multiple of a vector's size, without bringing what lies there into the caches. Other threads may
// read it after storesPastDone().
LANES_INLINE void storePast(float* p, Floats v) {
#if defined(__AVX512F__)
  LANES_EACH(_mm512_stream_ps(p + i * kPartLanes, (__m512)v.part[i]));
#elif defined(__AVX__)
  LANES_EACH(_mm256_stream_ps(p + i * kPartLanes, (__m256)v.part[i]));
#elif defined(__x86_64__)
  LANES_EACH(_mm_stream_ps(p + i * kPartLanes, (__m128)v.part[i]));
#else
  store(p, v);
#endif
}
LANES_INLINE void storesPastDone() {
#ifdef __x86_64__
  _mm_sfence();
#endif
}

// The first `count` lanes from memory, the others zero.
LANES_INLINE Floats loadSome(const float* p, int64_t count) {
  if (count == kLanes) return load(p);
  alignas(64) float lanes[kLanes] = {};
  copyFloats(lanes, p, count);
  return load(lanes);
}
LANES_INLINE void storeSome(float* p, Floats v, int64_t count) {
  if (count == kLanes) {
    store(p, v);
    return;
  }
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  copyFloats(p, lanes, count);
}

// v in lanes below `count`, `other` above.
LANES_INLINE Floats firstLanes(Floats v, int64_t count, Floats other) {
  static const float kNumbers[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return count >= kLanes ? v : select(load(kNumbers) < static_cast<float>(count), v, other);
}

// v's lanes folded into one in the order that all instruction sets share: halves onto halves. `fold` takes parts of vectors.
template <typename Fold>
LANES_INLINE float foldLanes(Floats v, const Fold& fold) {
  Floats::Part lanes = v.part[0];
#if LANES_PART_BYTES == 64
  const Ints::Part numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  lanes = fold(lanes, __builtin_shuffle(lanes, (numbers + 8) & 15));
#elif LANES_PART_BYTES == 32
  const Ints::Part numbers = {0, 1, 2, 3, 4, 5, 6, 7};
  lanes = fold(lanes, v.part[1]);
#else
  const Ints::Part numbers = {0, 1, 2, 3};
  lanes = fold(fold(lanes, v.part[2]), fold(v.part[1], v.part[3]));
#endif
#if LANES_PART_BYTES > 16
  lanes = fold(lanes, __builtin_shuffle(lanes, (numbers + 4) & (kPartLanes - 1)));
#endif
  lanes = fold(lanes, __builtin_shuffle(lanes, (numbers + 2) & (kPartLanes - 1)));
  lanes = fold(lanes, __builtin_shuffle(lanes, (numbers + 1) & (kPartLanes - 1)));
  return lanes[0];
}
LANES_INLINE float sumLanes(Floats v) {
  return foldLanes(v, [](Floats::Part a, Floats::Part b) { return a + b; });
}
LANES_INLINE float maxLanes(Floats v) {
  return foldLanes(v, [](Floats::Part a, Floats::Part b) { return b > a ? b : a; });
}

// a * b + c rounded once, with every instruction set: without the instruction, by the C library.
LANES_INLINE Floats fused(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__) || defined(__FMA__)
  return multiplyAdd(a, b, c);
#else
  alignas(64) float x[kLanes], y[kLanes], z[kLanes];
  store(x, a);
  store(y, b);
  store(z, c);
  for (int i = 0; i < kLanes; i++) z[i] = __builtin_fmaf(x[i], y[i], z[i]);
  return load(z);
#endif
}
LANES_INLINE Floats fused(Floats a, float b, Floats c) { return fused(a, all(b), c); }
LANES_INLINE Floats fused(Floats a, Floats b, float c) { return fused(a, b, all(c)); }
LANES_INLINE Floats fused(Floats a, float b, float c) { return fused(a, all(b), all(c)); }

// Correctly rounded by IEEE 754, unlike anything made of approximations.
LANES_INLINE Floats squareRoot(Floats v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < kLanes; i++) lanes[i] = __builtin_sqrtf(lanes[i]);
  return load(lanes);
}

// Calls body(index, count) over [0, total): whole vectors first (count 16), then what is left.
template <typename Body>
LANES_INLINE void forLanes(int64_t total, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= total; i += kLanes) body(i, kLanes);
  if (i < total) body(i, total - i);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
