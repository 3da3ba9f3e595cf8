// How products take their operands: as they are, or as pairs of bfloat16, one to three of which stand for a number. Each way
// says how an operand is laid out for the tiles of tile.h, in units of four bytes:
//   left        rows of A, contracted along their width
//   transposed  B from rows that are contracted along their width: [depth of width][whole lanes of rows]
//   stacked     B from rows that are contracted with each other: [depth of rows][whole lanes of width]
//   across      rows of A that are contracted with each other
//   acrossTransposed  the same, always as [whole lanes of width][span of rows]
// `depth` is the number of steps that a contraction over n elements takes, `span` the units between rows that are laid out for
// it. Where zeros follow, `someOf` elements may be contracted for the first n of all. Pairs are made of floats, or of bfloat16 (T).
#pragma once

#include "isa/bfloat16.h"
#include "isa/shuffle.h"
#include "isa/strip.h"

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
  typedef float Kept;  // as what numbers are kept that only products read
  static int64_t depth(int64_t n) { return depthOf(Precision::float32, n); }
  static int64_t span(int64_t n) { return leftStride(Precision::float32, n); }
  static int64_t someOf(int64_t, int64_t n) { return n; }

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

  static Matrix<float> across(const float* scores, int64_t stride, int64_t, int64_t, float*) { return {scores, 1, stride}; }

  static void acrossTransposed(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
    transposed(a, stride, rows, width, out);
  }
};

// What holds all that a product takes of a number of so many parts.
template <int PARTS>
struct StoredAs {
  typedef float Type;
};
template <>
struct StoredAs<1> {
  typedef Bfloat16 Type;
};

// Pairs of bfloat16, one in each half of a word. What is missing from the last pair is zero.
//
// With one part the bfloat16 is the nearest to a number. With more, each is the nearest to what those before leave: two are
// within 2^-17 of it, three are it. A product of numbers is then the sum of the products of their parts, of which the smallest
// are left out: of four the one below 2^-16 of it, of nine the three below 2^-24 (Henry, Tang and Heinecke, "Leveraging the
// bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019). 32 numbers in depth are 16 pairs of first
// parts, then 16 of second ones, and so on; at the end of a depth they may be fewer. Of several parts, a number that is not
// finite, or above 3.39e38, makes NaN, and one below 1e-31 loses the parts that are subnormal.
template <int PARTS>
struct Pairs {
  typedef Pair<PARTS> Unit;
  typedef typename StoredAs<PARTS>::Type Kept;
  static constexpr Precision kPrecision =
      PARTS == 1 ? Precision::bfloat16 : PARTS == 2 ? Precision::bfloat16x3 : Precision::bfloat16x6;
  static constexpr int64_t kBlock = 2 * kLanes;

  static int64_t depth(int64_t n) { return depthOf(kPrecision, n); }
  static int64_t span(int64_t n) { return leftStride(kPrecision, n); }
  static int64_t someOf(int64_t all, int64_t n) {
    if (PARTS == 1) return n;
    const int64_t whole = ceilDiv(n, kBlock) * kBlock;
    return whole < all ? whole : all;
  }

  // Words of each part of the same numbers.
  struct Several {
    Words part[PARTS];
  };

  // The words of one part are `step` units after those of the one before.
  LANES_INLINE void storeSeveral(Unit* p, int64_t step, const Several& words) {
    for (int i = 0; i < PARTS; i++) storeUnits(p + i * step, words.part[i]);
  }

  // The pairs of a block that begins with number d of n.
  static int64_t pairsFrom(int64_t d, int64_t n) { return n - d < kBlock ? (n - d + 1) / 2 : kLanes; }

  // Takes the next part off a number: the nearest bfloat16 (ties away from zero: what is left makes up for it).
  LANES_INLINE Floats nextPart(Floats& rest) {
    const Floats part = as<Floats>((as<Words>(rest) + 0x8000u) & 0xffff0000u);
    rest = rest - part;
    return part;
  }

  // combine(first, second) for each part of both.
  template <typename Combine>
  LANES_INLINE Several ofParts(Floats first, Floats second, const Combine& combine) {
    Several words;
    for (int i = 0; i < PARTS - 1; i++) {
      const Floats part = nextPart(first);
      words.part[i] = combine(part, nextPart(second));
    }
    words.part[PARTS - 1] = combine(first, second);
    return words;
  }

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
    storeWords(lanes, first);
    storeWords(lanes + kLanes, second);
    for (int i = 0; i < kLanes; i++) chosen[i] = lanes[2 * i + odd];
    return loadWords(chosen);
#endif
  }

  // Up to 32 numbers of a row as 16 words.
  LANES_INLINE Several some(const float* row, int64_t count) {
    const Floats first = loadSome(row, count < kLanes ? count : kLanes);
    const int64_t rest = count - kLanes;
    return ofParts(first, rest > 0 ? loadSome(row + kLanes, rest < kLanes ? rest : kLanes) : Floats{}, together);
  }
  LANES_INLINE Several some(const Bfloat16* row, int64_t count) {
    Several words = {};  // rows may begin within a word
    __builtin_memcpy(&words, row, static_cast<size_t>(count < kBlock ? count : kBlock) * sizeof(Bfloat16));
    return words;
  }

  // `count` numbers of two rows, side by side; zeros where there is no second.
  LANES_INLINE Several beside(const float* first, const float* second, int64_t count) {
    return ofParts(loadSome(first, count), second ? loadSome(second, count) : Floats{}, side);
  }
  LANES_INLINE Several beside(const Bfloat16* first, const Bfloat16* second, int64_t count) {
    const Words lower = loadSomeHalves(first, count);
    return {second ? lower | loadSomeHalves(second, count) << 16 : lower};
  }

  static Matrix<Unit> left(const float* a, int64_t stride, int64_t rows, int64_t width, Unit* buffer) {
    return copied(a, stride, rows, width, buffer);
  }
  // Pairs lie in the rows already, unless these end or begin within one.
  static Matrix<Unit> left(const Bfloat16* a, int64_t stride, int64_t rows, int64_t width, Unit* buffer) {
    const bool isWhole = width % 2 == 0 && stride % 2 == 0 && reinterpret_cast<uintptr_t>(a) % 4 == 0;
    if (isWhole) return {reinterpret_cast<const Unit*>(a), stride / 2, 1};
    return copied(a, stride, rows, width, buffer);
  }

  template <typename T>
  static Matrix<Unit> copied(const T* a, int64_t stride, int64_t rows, int64_t width, Unit* buffer) {
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t d = 0; d < width; d += kBlock) {
        const Several words = some(a + r * stride + d, width - d);
        storeSeveral(buffer + r * span(width) + depth(d), pairsFrom(d, width), words);
      }
    }
    return {buffer, span(width), 1};
  }

  template <typename T>
  static void transposed(const T* a, int64_t stride, int64_t rows, int64_t width, Unit* out) {
    const int64_t outStride = wholeLanes(rows);
    for (int64_t r = 0; r < rows; r += kLanes) {
      for (int64_t d = 0; d < width; d += kBlock) {
        Several words[16];
        for (int i = 0; i < 16; i++) {
          words[i] = r + i < rows ? some(a + (r + i) * stride + d, width - d) : Several{};
        }
        const int64_t wide = pairsFrom(d, width);
        for (int part = 0; part < PARTS; part++) {
          Floats square[16];
          for (int i = 0; i < 16; i++) square[i] = as<Floats>(words[i].part[part]);
          transpose(square);
          Unit* const to = out + (depth(d) + part * wide) * outStride + r;
          for (int64_t i = 0; i < wide; i++) storeUnits(to + i * outStride, as<Words>(square[i]));
        }
      }
    }
  }

  template <typename T>
  static void stacked(const T* a, int64_t stride, int64_t rows, int64_t width, Unit* out) {
    const int64_t outStride = wholeLanes(width);
    for (int64_t r = 0; r < rows; r += 2) {
      const T* const first = a + r * stride;
      const T* const second = r + 1 < rows ? first + stride : nullptr;
      const int64_t block = r / kBlock * kBlock;
      Unit* const to = out + (depth(block) + (r - block) / 2) * outStride;
      forLanes(width, [=](int64_t d, int64_t count) {
        const Several words = beside(first + d, second ? second + d : nullptr, count);
        storeSeveral(to + d, pairsFrom(block, rows) * outStride, words);
      });
    }
  }

  static Matrix<Unit> across(const Kept* scores, int64_t stride, int64_t rows, int64_t width, Unit* buffer) {
#ifdef __AMX_BF16__  // reads by rows alone
    acrossTransposed(scores, stride, rows, width, buffer);
    return {buffer, span(rows), 1};
#else
    stacked(scores, stride, rows, width, buffer);
    return {buffer, 1, wholeLanes(width)};
#endif
  }

  template <typename T>
  static void acrossTransposed(const T* a, int64_t stride, int64_t rows, int64_t width, Unit* out) {
    const int64_t outStride = span(rows);
    for (int64_t r = 0; r < rows; r += kBlock) {
      const int64_t next = r + kBlock, end = rows < next + kBlock ? rows : next + kBlock;
      prefetchRows(a, stride, next, end, width);
      for (int64_t d = 0; d < width; d += kLanes) {
        const int64_t wide = width - d < kLanes ? width - d : kLanes;
        Several words[16];
        for (int i = 0; i < 16; i++) {
          const int64_t at = r + 2 * i;
          const T* const first = a + at * stride + d;
          words[i] = at < rows ? beside(first, at + 1 < rows ? first + stride : nullptr, wide) : Several{};
        }
        for (int part = 0; part < PARTS; part++) {
          Floats square[16];
          for (int i = 0; i < 16; i++) square[i] = as<Floats>(words[i].part[part]);
          transpose(square);
          Unit* const to = out + d * outStride + depth(r) + part * pairsFrom(r, rows);
          for (int64_t i = 0; i < kLanes; i++) storeUnits(to + i * outStride, as<Words>(square[i]));
        }
      }
    }
  }
};

// body(layout, pointer): how a product takes these numbers. Only products of bfloat16 take what is stored as such.
template <typename Body>
LANES_INLINE auto withLayout(Precision precision, Activations a, const Body& body) {
  if (precision == Precision::float32) return body(Numbers{}, static_cast<float*>(a.data));
  if (precision == Precision::bfloat16x3) return body(Pairs<2>{}, static_cast<float*>(a.data));
  if (precision == Precision::bfloat16x6) return body(Pairs<3>{}, static_cast<float*>(a.data));
  return withNumbers(a, [&](auto* numbers) { return body(Pairs<1>{}, numbers); });
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
