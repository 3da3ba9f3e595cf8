// How products take their operands: as they are, or as pairs of bfloat16. Each way says how an operand is laid out for the
// tiles of tile.h, in units of four bytes:
//   left        rows of A, contracted along their width
//   transposed  B from rows that are contracted along their width: [depth of width][whole lanes of rows]
//   stacked     B from rows that are contracted with each other: [depth of rows][whole lanes of width]
//   across      rows of A that are contracted with each other
//   acrossTransposed  the same, always as [whole lanes of width][whole lanes of depth of rows]
// `depth` is the number of steps that a contraction over n elements takes. Pairs are made of floats, or of bfloat16 (T).
#pragma once

#include "isa/amx.h"
#include "isa/bfloat16.h"
#include "isa/shuffle.h"
#include "isa/tile.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Asks for rows [first, end) that will be needed soon: where they are read some at a time, the processor does not see them coming.
template <typename T>
static inline void prefetchRows(const T* rows, int64_t stride, int64_t first, int64_t end, int64_t width) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t r = first; r < end; r++) {
    for (int64_t d = 0; d < width; d += kLine) __builtin_prefetch(rows + r * stride + d, 0, 2);
  }
}

// Numbers as they are.
struct Numbers {
  typedef float Unit;
  static int64_t depth(int64_t n) { return depthOf(Precision::float32, n); }

  static Matrix<float> left(const float* a, int64_t stride, int64_t, int64_t, float*) { return {a, stride, 1}; }

  static void transposed(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
    const int64_t outStride = wholeLanes(rows);
    for (int64_t r = 0; r < rows; r += kLanes) {
      for (int64_t d = 0; d < width; d += kLanes) {
        const int64_t wide = width - d < kLanes ? width - d : kLanes;
        Floats square[16];
        for (int i = 0; i < 16; i++) square[i] = r + i < rows ? loadSome(a + (r + i) * stride + d, wide) : Floats{};
        transpose(square);
        for (int64_t i = 0; i < wide; i++) store(out + (d + i) * outStride + r, square[i]);
      }
    }
  }

  static void stacked(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
    const int64_t outStride = wholeLanes(width);
    for (int64_t r = 0; r < rows; r++) {
      forLanes(width, [=](int64_t d, int64_t count) {
        store(out + r * outStride + d, loadSome(a + r * stride + d, count));
      });
    }
  }

  static Matrix<float> across(float* scores, int64_t stride, int64_t, int64_t, float*) { return {scores, 1, stride}; }

  static void acrossTransposed(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
    transposed(a, stride, rows, width, out);
  }
};

// Pairs of bfloat16, one in each half of a word. What is missing from the last pair is zero.
struct Pairs {
  typedef uint32_t Unit;
  static int64_t depth(int64_t n) { return depthOf(Precision::bfloat16, n); }

  // 32 numbers in order.
  static Words together(Floats first, Floats second) {
#ifdef __AVX512BF16__
    Words words;
    words.part[0] = (Words::Part)_mm512_cvtne2ps_pbh((__m512)second.part[0], (__m512)first.part[0]);
    return words;
#else
    return everySecond(roundedUnit(first), roundedUnit(second), 0) >> 16 |
           everySecond(roundedUnit(first), roundedUnit(second), 1);
#endif
  }

  // A number of `first` and one of `second` in each word.
  static Words side(Floats first, Floats second) {
#ifdef __AVX512BF16__
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second.part[0], (__m512)first.part[0]);
    Words words;
    words.part[0] = (Words::Part)_mm512_maskz_permutexvar_epi16(~0u, order, both);
    return words;
#else
    return roundedUnit(first) >> 16 | roundedUnit(second);
#endif
  }

  // The even (0) or odd (1) lanes of both.
  static Words everySecond(Words first, Words second, int odd) {
#if LANES_PART_BYTES == 64
    const Ints::Part even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    first.part[0] = __builtin_shuffle(first.part[0], second.part[0], even + odd);
    return first;
#else
    alignas(64) uint32_t lanes[2 * kLanes], chosen[kLanes];
    storeUnits(lanes, first);
    storeUnits(lanes + kLanes, second);
    for (int i = 0; i < kLanes; i++) chosen[i] = lanes[2 * i + odd];
    return loadUnits(chosen);
#endif
  }

  // Up to 32 numbers of a row as 16 words.
  static Words some(const float* row, int64_t count) {
    const Floats first = loadSome(row, count < kLanes ? count : kLanes);
    const int64_t rest = count - kLanes;
    return together(first, rest > 0 ? loadSome(row + kLanes, rest < kLanes ? rest : kLanes) : Floats{});
  }
  static Words some(const Bfloat16* row, int64_t count) {
    Words words = {};  // rows may begin within a word
    __builtin_memcpy(&words, row, static_cast<size_t>(count < 2 * kLanes ? count : 2 * kLanes) * sizeof(Bfloat16));
    return words;
  }

  // `count` numbers of two rows, side by side; zeros where there is no second.
  static Words beside(const float* first, const float* second, int64_t count) {
    return side(loadSome(first, count), second ? loadSome(second, count) : Floats{});
  }
  static Words beside(const Bfloat16* first, const Bfloat16* second, int64_t count) {
    const Words lower = loadSomeHalves(first, count);
    return second ? lower | loadSomeHalves(second, count) << 16 : lower;
  }

  static Matrix<uint32_t> left(const float* a, int64_t stride, int64_t rows, int64_t width, uint32_t* buffer) {
    return copied(a, stride, rows, width, buffer);
  }
  // Pairs lie in the rows already, unless these end or begin within one.
  static Matrix<uint32_t> left(const Bfloat16* a, int64_t stride, int64_t rows, int64_t width, uint32_t* buffer) {
    const bool isWhole = width % 2 == 0 && stride % 2 == 0 && reinterpret_cast<uintptr_t>(a) % 4 == 0;
    if (isWhole) return {reinterpret_cast<const uint32_t*>(a), stride / 2, 1};
    return copied(a, stride, rows, width, buffer);
  }

  template <typename T>
  static Matrix<uint32_t> copied(const T* a, int64_t stride, int64_t rows, int64_t width, uint32_t* buffer) {
    const int64_t outStride = wholeLanes(depth(width));
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t d = 0; d < width; d += 2 * kLanes) {
        storeUnits(buffer + r * outStride + d / 2, some(a + r * stride + d, width - d));
      }
    }
    return {buffer, outStride, 1};
  }

  template <typename T>
  static void transposed(const T* a, int64_t stride, int64_t rows, int64_t width, uint32_t* out) {
    const int64_t outStride = wholeLanes(rows);
    for (int64_t r = 0; r < rows; r += kLanes) {
      for (int64_t d = 0; d < width; d += 2 * kLanes) {
        Floats square[16];
        for (int i = 0; i < 16; i++) {
          square[i] = r + i < rows ? as<Floats>(some(a + (r + i) * stride + d, width - d)) : Floats{};
        }
        transpose(square);
        const int64_t wide = depth(width - d) < kLanes ? depth(width - d) : kLanes;
        for (int64_t i = 0; i < wide; i++) storeUnits(out + (d / 2 + i) * outStride + r, as<Words>(square[i]));
      }
    }
  }

  template <typename T>
  static void stacked(const T* a, int64_t stride, int64_t rows, int64_t width, uint32_t* out) {
    const int64_t outStride = wholeLanes(width);
    for (int64_t r = 0; r < rows; r += 2) {
      const T* const first = a + r * stride;
      const T* const second = r + 1 < rows ? first + stride : nullptr;
      forLanes(width, [=](int64_t d, int64_t count) {
        storeUnits(out + r / 2 * outStride + d, beside(first + d, second ? second + d : nullptr, count));
      });
    }
  }

  static Matrix<uint32_t> across(float* scores, int64_t stride, int64_t rows, int64_t width, uint32_t* buffer) {
#ifdef __AMX_BF16__  // reads by rows alone
    acrossTransposed(scores, stride, rows, width, buffer);
    return {buffer, wholeLanes(depth(rows)), 1};
#else
    stacked(scores, stride, rows, width, buffer);
    return {buffer, 1, wholeLanes(width)};
#endif
  }

  template <typename T>
  static void acrossTransposed(const T* a, int64_t stride, int64_t rows, int64_t width, uint32_t* out) {
    const int64_t outStride = wholeLanes(depth(rows));
    for (int64_t r = 0; r < rows; r += 2 * kLanes) {
      const int64_t next = r + 2 * kLanes, end = rows < next + 2 * kLanes ? rows : next + 2 * kLanes;
      prefetchRows(a, stride, next, end, width);
      for (int64_t d = 0; d < width; d += kLanes) {
        const int64_t wide = width - d < kLanes ? width - d : kLanes;
        Floats square[16];
        for (int i = 0; i < 16; i++) {
          const int64_t at = r + 2 * i;
          const T* const first = a + at * stride + d;
          square[i] = at < rows ? as<Floats>(beside(first, at + 1 < rows ? first + stride : nullptr, wide)) : Floats{};
        }
        transpose(square);
        for (int64_t i = 0; i < kLanes; i++) storeUnits(out + (d + i) * outStride + r / 2, as<Words>(square[i]));
      }
    }
  }
};

// body(layout, pointer): how a product takes these numbers. Only products of bfloat16 take what is stored as such.
template <typename Body>
LANES_INLINE auto withLayout(Precision precision, Activations a, const Body& body) {
  if (precision == Precision::float32) return body(Numbers{}, static_cast<float*>(a.data));
  return withNumbers(a, [&](auto* numbers) { return body(Pairs{}, numbers); });
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
