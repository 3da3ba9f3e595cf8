// Matrix products of row-major matrices on the device: by cuBLASLt (product.cu), or plain loops in the emulation.
#pragma once

#include <cstdint>

#include "device.h"

namespace lockstep::cuda {

// A matrix, or its transpose as it lies in memory.
struct Factor {
  const void* elements;
  Format format;
  bool transposed = false;
};

struct Product {
  Factor a, b;  // [m,k] and [k,n], of one format
  void* out;    // [m,n]
  Format format;
  int64_t m, k, n;
  float scale = 1;
  bool accumulate = false;  // to what `out` holds
  const void* bias = nullptr;  // [n], of the format of `out`
  bool relu = false;
};

// out = relu(scale * a · b + bias), summed in float32. The bits depend on sizes, formats and machine alone.
void multiply(const Product& product, bool tf32);

int64_t productVersion();

}  // namespace lockstep::cuda
