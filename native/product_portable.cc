// The matrix product without oneDNN: the vector kernels' own. See product.h.
#ifndef LOCKSTEP_ONEDNN

#include <cstdlib>

#include "product.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {

void multiply(Matrix<float> a, Matrix<float> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
              bool accumulate) {
  float* const buffer = scratch(Slot::library, kProductScratch);
  for (int64_t first = 0; first < m; first += kProductRows) {
    const int64_t rows = m - first < kProductRows ? m - first : kProductRows;
    kernels().product({a.data + first * a.rowStride, a.rowStride, a.columnStride}, b, c + first * cStride,
                      cStride, rows, k, n, accumulate, buffer);
  }
}

void multiply(Matrix<uint16_t>, Matrix<uint16_t>, float*, int64_t, int64_t, int64_t, int64_t, bool) { std::abort(); }
bool multipliesBfloat16() { return false; }

const char* productLibrary() { return "portable"; }
const char* productVersion() { return ""; }
const char* productIsa() { return kernels().isa; }

}  // namespace lockstep

#endif
