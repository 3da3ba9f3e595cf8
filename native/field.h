// From the options of a call to what the vector kernels take.
#pragma once

#include "isa/kernels.h"
#include "operations.h"

namespace lockstep {

inline DropoutField fieldOf(const Dropout& dropout) {
  const uint64_t threshold = dropout.threshold();
  DropoutField field = {};
  field.active = threshold > 0;  // a rate below 2^-33 drops nothing and scales by 1
  field.key0 = static_cast<uint32_t>(dropout.key.seed);
  field.key1 = static_cast<uint32_t>(dropout.key.seed >> 32);
  field.site = dropout.site;
  field.microBatch = dropout.key.microBatch;
  field.step = dropout.key.step;
  field.lastDropped = static_cast<uint32_t>(threshold - 1);
  field.scale = dropout.scale();
  return field;
}

}  // namespace lockstep
