// What the naive operations share: bfloat16, one number at a time.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

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

// As a matrix product takes it.
inline float asOperand(float value, Precision precision) {
  return precision == Precision::float32 ? value : fromBfloat16(toBfloat16(value));
}

}  // namespace lockstep
