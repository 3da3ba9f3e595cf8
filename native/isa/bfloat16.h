// Numbers stored as bfloat16, and how a float becomes one.
#pragma once

#include "isa/lanes.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// The bits of the nearest bfloat16, ties to even, in the upper halves of float32's bits. NaN stays (quiet) NaN;
// what is beyond the largest bfloat16 becomes Infinity.
LANES_INLINE Words roundedBits(Floats v) {
  const Words bits = as<Words>(v);
  const Words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return select(v == v, rounded, bits | 0x400000u) & 0xffff0000u;
}

LANES_INLINE Floats roundedToBfloat16(Floats v) { return as<Floats>(roundedBits(v)); }

#ifndef __AVX512BF16__
// The nearest bfloat16 in the upper half, as AVX512_BF16's conversion rounds: subnormal numbers become zeros.
LANES_INLINE Words roundedUnit(Floats v) {
  const Words bits = as<Words>(v);
  return select((bits & 0x7f800000u) == Words{}, bits & 0x80000000u, roundedBits(v));
}
#endif

typedef Bfloat16 LooseHalves __attribute__((vector_size(LANES_PART_BYTES / 2), aligned(2), may_alias));

// 16 halves, each in the lower half of a word.
LANES_INLINE Words loadHalves(const Bfloat16* p) {
  Words v;
#ifdef __AVX512F__  // GCC 12 makes two halves of the conversion
  v.part[0] = (Words::Part)_mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(p)));
#else
  LANES_EACH(v.part[i] =
                 __builtin_convertvector(*reinterpret_cast<const LooseHalves*>(p + i * kPartLanes), Words::Part));
#endif
  return v;
}

LANES_INLINE Words loadSomeHalves(const Bfloat16* p, int64_t count) {
  if (count == kLanes) return loadHalves(p);
  alignas(64) Bfloat16 halves[kLanes] = {};
  __builtin_memcpy(halves, p, static_cast<size_t>(count) * sizeof(Bfloat16));
  return loadHalves(halves);
}

// The lower halves of words.
LANES_INLINE void storeHalves(Bfloat16* p, Words words) {
#ifdef __AVX512F__
  // The form with a mask: GCC 12 warns of its own header in the other.
  const __m256i halves = _mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)words.part[0]);
  _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), halves);
#else
  LANES_EACH(*reinterpret_cast<LooseHalves*>(p + i * kPartLanes) = __builtin_convertvector(words.part[i], LooseHalves));
#endif
}

LANES_INLINE void storeSomeHalves(Bfloat16* p, Words words, int64_t count) {
  if (count == kLanes) {
    storeHalves(p, words);
    return;
  }
  alignas(64) Bfloat16 halves[kLanes];
  storeHalves(halves, words);
  __builtin_memcpy(p, halves, static_cast<size_t>(count) * sizeof(Bfloat16));
}

LANES_INLINE Floats load(const Bfloat16* p) { return as<Floats>(loadHalves(p) << 16); }

LANES_INLINE Floats loadSome(const Bfloat16* p, int64_t count) { return as<Floats>(loadSomeHalves(p, count) << 16); }

// Rounded as operands of products are.
LANES_INLINE void storeSome(Bfloat16* p, Floats v, int64_t count) {
#ifdef __AVX512BF16__
  const __m256i halves = (__m256i)_mm512_cvtneps_pbh((__m512)v.part[0]);
  if (count == kLanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), halves);
  } else {
    __builtin_memcpy(p, &halves, static_cast<size_t>(count) * sizeof(Bfloat16));
  }
#else
  storeSomeHalves(p, roundedUnit(v) >> 16, count);
#endif
}

// Two vectors that follow each other.
LANES_INLINE void storeTwo(float* p, Floats first, Floats second) {
  store(p, first);
  store(p + kLanes, second);
}
LANES_INLINE void storeTwo(Bfloat16* p, Floats first, Floats second) {
#ifdef __AVX512BF16__
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second.part[0], (__m512)first.part[0]);
  _mm512_storeu_si512(p, both);
#else
  storeSome(p, first, kLanes);
  storeSome(p + kLanes, second, kLanes);
#endif
}

// Stores where the stores to come go on, 2 KiB ahead of which the line is asked for: a core waits for each line that it is to
// write and does not have, and would have few on their way at a time.
template <typename T>
LANES_INLINE void storeNext(T* p, Floats v, int64_t count) {
  __builtin_prefetch(reinterpret_cast<char*>(p) + 2048, 1);
  storeSome(p, v, count);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
