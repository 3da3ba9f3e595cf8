// The formats in which matrix products take their operands. Tensors are float32; with bfloat16 operands are rounded on
// their way into a product (weights whole, the rest by panels), whose sums stay float32.
#pragma once

#include <cstdint>
#include <cstring>

#include "operations.h"
#include "pool.h"
#include "product.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {

// Operands as they are.
struct Float32 {
  using Element = float;
  static constexpr bool kConverts = false;
  static void convert(const float*, float*, int64_t) {}
};

// For processors that multiply bfloat16.
struct Bfloat16 {
  using Element = uint16_t;
  static constexpr bool kConverts = true;
  static void convert(const float* values, uint16_t* out, int64_t count) {
    kernels().packOperands(values, out, count);
  }
};

// For the others: rounded all the same, but kept and multiplied as float32, in which products of bfloat16 are exact.
struct EmulatedBfloat16 {
  using Element = float;
  static constexpr bool kConverts = true;
  static void convert(const float* values, float* out, int64_t count) {
    std::memcpy(out, values, static_cast<size_t>(count) * sizeof(float));
    kernels().roundToBfloat16(out, count);
  }
};

// Calls body(format).
template <typename Body>
void withFormat(Precision precision, const Body& body) {
  if (precision == Precision::bfloat16) {
    body(Bfloat16{});
  } else if (precision == Precision::emulated) {
    body(EmulatedBfloat16{});
  } else {
    body(Float32{});
  }
}

// Scratch of this thread for `count` elements. See scratch.h.
template <typename Element>
Element* elements(Slot slot, int64_t count) {
  const int64_t perFloat = sizeof(float) / sizeof(Element);
  return reinterpret_cast<Element*>(scratch(slot, (count + perFloat - 1) / perFloat));
}

// The values in this format: themselves, or converted into this thread's scratch.
template <typename Format>
const typename Format::Element* panelOperand(Slot slot, const float* values, int64_t count) {
  if constexpr (!Format::kConverts) {
    return values;
  } else {
    auto* const out = elements<typename Format::Element>(slot, count);
    Format::convert(values, out, count);
    return out;
  }
}

// The same for a whole operand, converted by all threads. It lies in the caller's scratch, where panels of other threads
// may read it until the caller uses the slot again.
template <typename Format>
const typename Format::Element* operand(Slot slot, const float* values, int64_t count) {
  if constexpr (!Format::kConverts) {
    return values;
  } else {
    auto* const out = elements<typename Format::Element>(slot, count);
    forPanelsOf(65536, count, [=](int64_t first, int64_t size) { Format::convert(values + first, out + first, size); });
    return out;
  }
}

// dw[n,k] (+)= dzᵀ · x over m tokens. Panels of the weight's rows, each over all tokens in one product. oneDNN 2.6 is fast
// with a transposed operand only where that is dense: with many tokens, and always in bfloat16, dz's columns are copied out
// first.
template <typename Element>
void weightGradient(const Element* dz, const Element* x, float* dw, int64_t m, int64_t k, int64_t n, bool accumulate) {
  forPanelsOf(n >= 1024 ? 256 : 128, n, [=](int64_t first, int64_t rows) {
    const Element* columns = dz + first;
    int64_t stride = n;
    if (rows < n && (m >= 1024 || sizeof(Element) < sizeof(float))) {
      Element* const dense = elements<Element>(Slot::panel, m * rows);
      for (int64_t r = 0; r < m; r++) {
        std::memcpy(dense + r * rows, columns + r * n, static_cast<size_t>(rows) * sizeof(Element));
      }
      columns = dense;
      stride = rows;
    }
    multiply(Matrix<Element>{columns, 1, stride}, Matrix<Element>{x, k, 1}, dw + first * k, k, rows, m, k, accumulate);
  });
}

}  // namespace lockstep
