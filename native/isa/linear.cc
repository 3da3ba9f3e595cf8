// Linear layers: products with bias and activation while a strip is in cache, and through an activation's gradient on their way out;
// column sums.
#include "isa/elementary.h"
#include "isa/product.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

template <Activation ACTIVATION>
LANES_INLINE Floats activate(Floats z) {
  switch (ACTIVATION) {
    case Activation::relu: return select(z <= 0.0f, all(0.0f), z);  // NaN stays NaN
    case Activation::gelu: return gelu(z);
    case Activation::swish: return swish(z);
    case Activation::none: break;
  }
  return z;
}

// dy * activation'(z)
template <Activation ACTIVATION>
LANES_INLINE Floats throughActivation(Floats dy, Floats z) {
  switch (ACTIVATION) {
    case Activation::relu: return select(z > 0.0f, dy, all(0.0f));
    case Activation::gelu: return dy * geluSlope(z);
    case Activation::swish: return dy * swishSlope(z);
    case Activation::none: break;
  }
  return dy;
}

static_assert(kPanelColumns >= 32 && kPanelColumns <= 48, "linearScratch counts on it");

// Columns of a result on their way out: strips of as many as a panel has, each [rows][its columns in whole lanes].
template <typename T>
struct Strips {
  T* data;
  int64_t rows;

  static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));

  // A cache line more than rows take: they are read across strips, which a power of two would put into one set of the cache.
  T* at(int64_t column) const { return data + column / kPanelColumns * (rows * kPanelColumns + kLine); }

  // Rows of `width` columns to `to`, where they are `stride` apart; through an activation, whose `saved` rows lie like them.
  template <Activation THROUGH>
  void gather(T* to, const T* saved, int64_t stride, int64_t width, bool passesCaches) const {
    // Whole lines alone do: a strip of AMX has one or two of them in each row, 48 columns of bfloat16 are one and a half.
    const bool isAligned = reinterpret_cast<uintptr_t>(to) % 64 == 0 && stride % kLine == 0 && kPanelColumns % kLine == 0;
    constexpr bool kReadsSaved = THROUGH != Activation::none;
    for (int64_t r = 0; r < rows; r++) {
      if (kReadsSaved && r + kRowsAhead < rows) prefetchRows(saved, stride, r + kRowsAhead, r + kRowsAhead + 1, width);
      for (int64_t j = 0; j < width; j += kPanelColumns) {
        const int64_t columns = smaller(kPanelColumns, width - j);
        const T* const from = at(j) + r * wholeLanes(columns);
        T* const row = to + r * stride + j;
        const T* const z = kReadsSaved ? saved + r * stride + j : nullptr;
        if (passesCaches && isAligned && columns == kPanelColumns) {
          for (int64_t d = 0; d < columns; d += kLine) copyLinePast<THROUGH>(row + d, from + d, kReadsSaved ? z + d : nullptr);
        } else {
          forLanes(columns, [=](int64_t d, int64_t count) {
            storeNext(row + d, throughActivation<THROUGH>(load(from + d), kReadsSaved ? loadSome(z + d, count) : Floats{}), count);
          });
        }
      }
    }
  }

 private:
  static constexpr int64_t kRowsAhead = 8;  // rows of `saved` are pieces that lie apart: the processor does not see them coming

  template <Activation THROUGH>
  LANES_INLINE void copyLinePast(T* to, const T* from, const T* z) {
    alignas(64) T line[kLine];
    if constexpr (THROUGH != Activation::none) {
      for (int64_t i = 0; i < kLine; i += kLanes) {
        storeSome(line + i, throughActivation<THROUGH>(load(from + i), load(z + i)), kLanes);
      }
      from = line;
    }
    storePast(reinterpret_cast<float*>(to), load(reinterpret_cast<const float*>(from)));
  }
};

// As many columns of results as are kept together, in whole panels.
template <typename T>
int64_t columnsTogether(int64_t rows) {
  const int64_t panels = smaller(kLinearBytes / (rows * static_cast<int64_t>(sizeof(T))), kLinearColumns) / kPanelColumns;
  return (panels > 0 ? panels : 1) * kPanelColumns;
}

// Turns sums into a strip of y, and of what goes into the activation.
template <Activation ACTIVATION, typename T>
struct Finishing {
  const float *sums = nullptr, *bias = nullptr;  // [rows][lanes], [lanes]
  T *preActivation = nullptr, *y = nullptr;
  int64_t lanes = 0, rows = 0;

  // Two rows of a strip as wide as tiles make it.
  __attribute__((always_inline)) void some() {
    if (lanes != 2 * kLanes || rows < 2) return;
    const Floats left = load(bias), right = load(bias + kLanes);
    for (int r = 0; r < 2; r++) {
      const Floats first = load(sums + r * 2 * kLanes) + left, second = load(sums + (r * 2 + 1) * kLanes) + right;
      if (preActivation) storeTwo(preActivation + r * 2 * kLanes, first, second);
      storeTwo(y + r * 2 * kLanes, activate<ACTIVATION>(first), activate<ACTIVATION>(second));
    }
    advance(2);
  }

  void rest() {
    for (; rows > 0; advance(1)) {
      for (int64_t d = 0; d < lanes; d += kLanes) {
        const Floats z = load(sums + d) + load(bias + d);
        if (preActivation) storeSome(preActivation + d, z, kLanes);
        storeSome(y + d, activate<ACTIVATION>(z), kLanes);
      }
    }
  }

 private:
  __attribute__((always_inline)) void advance(int64_t by) {
    sums += by * lanes;
    y += by * lanes;
    if (preActivation) preActivation += by * lanes;
    rows -= by;
  }
};

template <Activation ACTIVATION, typename T>
struct AskingAndFinishing {
  Asking<2> asking;
  Finishing<ACTIVATION, T> finishing = {};

  __attribute__((always_inline)) void step() {
    asking.step();
    finishing.some();
  }
};

// Columns [first, first + width), of which scratch holds all. With tiles a strip is finished while the next one is multiplied.
template <Activation THROUGH, Activation ACTIVATION, typename T, typename Unit>
void linearColumns(Mode<Unit>& mode, AskingAndFinishing<ACTIVATION, T>& meanwhile, const LinearRows& of, Matrix<Unit> a,
                   int64_t depth, int64_t first, int64_t width, const T* saved, T* y, T* preActivation, float* scratch) {
  float* const sums[2] = {scratch, scratch + kStripRows * kPanelColumns};
  const Strips<T> out = {reinterpret_cast<T*>(scratch + 2 * kStripRows * kPanelColumns), of.rows};
  const Strips<T> kept = {out.at(columnsTogether<T>(of.rows)), of.rows};
  Finishing<ACTIVATION, T>& finishing = meanwhile.finishing;
  // A block of depth is 16 steps of two rows each.
  const int64_t stripRows = kHasTiles<Unit> && depth <= kDepthBlock<Unit> ? 32 : kStripRows;
  alignas(64) float biases[2][kPanelColumns];
  int turn = 0;
  for (int64_t j = 0; j < width; j += kPanelColumns) {
    const int64_t columns = smaller(kPanelColumns, width - j), lanes = wholeLanes(columns);
    const Unit* const strip = reinterpret_cast<const Unit*>(of.weights) + (first + j) * depth;
    auto& bias = biases[j / kPanelColumns % 2];
    for (float& none : bias) none = -0.0f;  // which changes no number that it is added to
    if (of.bias) copyFloats(bias, of.bias + first + j, columns);
    for (int64_t r = 0; r < of.rows; r += stripRows) {
      const int64_t rows = smaller(stripRows, of.rows - r), at = r * lanes;
      const Matrix<Unit> some = {a.data + r * a.rowStride, a.rowStride, a.columnStride};
      const Finishing<ACTIVATION, T> thisStrip = {
          sums[turn], bias, preActivation ? kept.at(j) + at : nullptr, out.at(j) + at, lanes, rows};
      if constexpr (kHasTiles<Unit>) {
        stripOfAllDepth(mode, meanwhile, some, strip, sums[turn], rows, depth, lanes);
        finishing.rest();
        finishing = thisStrip;
        turn = 1 - turn;
      } else {
        Nothing nothing;
        stripOfAllDepth(mode, nothing, some, strip, sums[turn], rows, depth, lanes);
        finishing = thisStrip;
        finishing.rest();
      }
    }
  }
  finishing.rest();
  if (preActivation) kept.template gather<Activation::none>(preActivation + first, nullptr, of.stride, width, of.passesCaches);
  out.template gather<THROUGH>(y + first, THROUGH == Activation::none ? nullptr : saved + first, of.stride, width, of.passesCaches);
}

template <Activation ACTIVATION, bool IS_GRADIENT, typename T, typename Unit>
void linearOf(const LinearRows& of, Matrix<Unit> a, int64_t depth, T* y, float* scratch) {
  Mode<Unit> mode;
  constexpr Activation kFinished = IS_GRADIENT ? Activation::none : ACTIVATION;
  constexpr Activation kThrough = IS_GRADIENT ? ACTIVATION : Activation::none;
  AskingAndFinishing<kFinished, T> meanwhile = {Asking<2>(of.ahead)};
  const int64_t together = columnsTogether<T>(of.rows);
  for (int64_t first = 0; first < of.n; first += together) {
    linearColumns<kThrough>(mode, meanwhile, of, a, depth, first, smaller(together, of.n - first),
                           static_cast<const T*>(of.saved.data), y, static_cast<T*>(of.preActivation.data), scratch);
  }
}

void linear(const LinearRows& of, float* scratch) {
  withLayout(of.precision, kNone, [&](auto layout, auto*) {
    withActivation(of.activation, [&](auto known) {
      withNumbers(of.y, [&](auto* y) {
        typedef typename decltype(layout)::Unit Unit;
        constexpr Activation kActivation = decltype(known)::value;
        const Matrix<Unit> a = {reinterpret_cast<const Unit*>(of.a.data), of.a.rowStride, of.a.columnStride};
        const int64_t depth = layout.depth(of.k);
        if (of.saved.data) linearOf<kActivation, true>(of, a, depth, y, scratch);
        else linearOf<kActivation, false>(of, a, depth, y, scratch);
      });
    });
  });
  storesPastDone();
}

void columnSums(Activations a, int64_t rowStride, int64_t rows, int64_t columns, float* out) {
  withNumbers(a, [=](const auto* numbers) {
    forLanes(columns, [=](int64_t c, int64_t count) {
      Floats sum = {};
      for (int64_t block = 0; block < rows; block += 64) {
        const int64_t end = smaller(block + 64, rows);
        Floats part = {};
        for (int64_t r = block; r < end; r++) part += loadSome(numbers + r * rowStride + c, count);
        sum += part;
      }
      storeSome(out + c, sum, count);
    });
  });
}

void exponentials(const float* x, float* out, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(out + i, exponential(loadSome(x + i, n)), n); });
}

}  // namespace

void fillLinear(Kernels& table) {
  table.linear = linear;
  table.columnSums = columnSums;
  table.exponential = exponentials;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
