// What the naive operations share: bfloat16, one number at a time, and activations of either format as float32.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "operations.h"

namespace lockstep {

inline uint16_t toBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float fromBfloat16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline float asFloat(float value) { return value; }
inline float asFloat(Bfloat16 value) { return fromBfloat16(value); }

inline float rounded(float value) { return fromBfloat16(toBfloat16(value)); }

// As a matrix product takes it.
inline float asOperand(float value, Precision precision) {
  return precision == Precision::bfloat16 ? rounded(value) : value;
}

// A product as it goes into a sum: of two parts each, without that of the smaller ones. Of three parts it is exact enough.
inline double multiplied(float a, float b, Precision precision) {
  const double product = double(asOperand(a, precision)) * asOperand(b, precision);
  if (precision != Precision::bfloat16x3) return product;
  const double first = rounded(a), second = rounded(static_cast<float>(a - first));
  const double bFirst = rounded(b), bSecond = rounded(static_cast<float>(b - bFirst));
  return first * bFirst + first * bSecond + second * bFirst;
}

inline std::vector<float> numbersOf(Activations a, int64_t count) {
  std::vector<float> values(static_cast<size_t>(a.data ? count : 0));
  withNumbers(a, [&](auto* from) {
    for (size_t i = 0; i < values.size(); i++) values[i] = asFloat(from[i]);
  });
  return values;
}

inline void put(Activations a, int64_t index, float value) {
  if (a.format == Format::bfloat16) {
    static_cast<Bfloat16*>(a.data)[index] = toBfloat16(value);
  } else {
    static_cast<float*>(a.data)[index] = value;
  }
}

inline void putAll(Activations a, const std::vector<float>& values) {
  for (size_t i = 0; a.data && i < values.size(); i++) put(a, static_cast<int64_t>(i), values[i]);
}

}  // namespace lockstep
