// The matrix product of one panel on the calling thread: by oneDNN, or our own where oneDNN is not there.
#pragma once

#include <cstdint>

#include "isa/kernels.h"

namespace lockstep {

// c[m,n] (row stride cStride) = a[m,k] · b[k,n], added to c when `accumulate`. The bits depend on the sizes, strides
// and machine alone. Any size may be 0.
void multiply(Matrix<float> a, Matrix<float> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
              bool accumulate);

// The same of bfloat16 elements, summed in float32. Only where multipliesBfloat16().
void multiply(Matrix<uint16_t> a, Matrix<uint16_t> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
              bool accumulate);

// Whether library and processor multiply bfloat16 directly.
bool multipliesBfloat16();

// What of it must be equal for equal bits: library, its version, the instruction set it dispatches to.
const char* productLibrary();
const char* productVersion();
const char* productIsa();

}  // namespace lockstep
