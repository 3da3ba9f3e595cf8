// Elements of activations: float, or bfloat16 where a run's precision is that. Kernels compute in float either way.
#pragma once

#include <cstdint>
#include <cstring>

#include "runtime.h"

namespace lockstep::cuda {

struct alignas(2) Bfloat16 {
  uint16_t bits;
};

__device__ inline uint32_t bitsOf(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
#endif
}

__device__ inline float floatOf(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
#endif
}

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(Bfloat16 value) { return floatOf(uint32_t{value.bits} << 16); }

// Rounds to the nearest, ties to even; NaN stays NaN.
template <typename T>
__device__ T fromFloat(float value);
template <>
__device__ inline float fromFloat<float>(float value) {
  return value;
}
template <>
__device__ inline Bfloat16 fromFloat<Bfloat16>(float value) {
  const uint32_t bits = bitsOf(value);
  if (value != value) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

// V neighbouring elements, read or written at once: V is 4 where rows are multiples of 4 wide (and then aligned), else 1.
template <int V>
struct alignas(V * sizeof(float)) Lanes {
  float at[V];
};

// Four elements of bfloat16.
struct alignas(8) Pairs {
  uint32_t at[2];
};

// `p` as a pointer to what is read or written at once, which must begin at a multiple of its alignment.
template <typename T>
__device__ inline T* whole(void* p) {
#ifdef LOCKSTEP_CUDA_EMULATION
  emulation::checkAlignment(p, alignof(T));
#endif
  return static_cast<T*>(p);
}
template <typename T>
__device__ inline const T* whole(const void* p) {
  return whole<T>(const_cast<void*>(p));
}

template <int V>
__device__ inline Lanes<V> load(const float* p) {
  Lanes<V> lanes;
  if constexpr (V == 4) {
    lanes = *whole<Lanes<V>>(p);
  } else {
    lanes.at[0] = *p;
  }
  return lanes;
}

template <int V>
__device__ inline Lanes<V> load(const Bfloat16* p) {
  Lanes<V> lanes;
  if constexpr (V == 4) {
    const Pairs pairs = *whole<Pairs>(p);
    for (int i = 0; i < V; i++) lanes.at[i] = floatOf(i % 2 ? pairs.at[i / 2] & 0xffff0000u : pairs.at[i / 2] << 16);
  } else {
    lanes.at[0] = toFloat(*p);
  }
  return lanes;
}

template <int V>
__device__ inline void store(float* p, const Lanes<V>& lanes) {
  if constexpr (V == 4) {
    *whole<Lanes<V>>(p) = lanes;
  } else {
    *p = lanes.at[0];
  }
}

template <int V>
__device__ inline void store(Bfloat16* p, const Lanes<V>& lanes) {
  if constexpr (V == 4) {
    Pairs pairs;
    for (int i = 0; i < V; i += 2) {
      pairs.at[i / 2] = fromFloat<Bfloat16>(lanes.at[i]).bits | uint32_t{fromFloat<Bfloat16>(lanes.at[i + 1]).bits} << 16;
    }
    *whole<Pairs>(p) = pairs;
  } else {
    *p = fromFloat<Bfloat16>(lanes.at[0]);
  }
}

// What a later kernel will read of a value that is stored now.
template <typename T>
__device__ inline float rounded(float value) {
  return toFloat(fromFloat<T>(value));
}

}  // namespace lockstep::cuda
