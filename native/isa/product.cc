// Matrix products, and the layouts in which they take their operands.
#include "isa/product.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

static_assert(kPanelsColumns % kPanelColumns == 0, "a part of an operand begins with a panel");

// The type that units have outside.
template <typename Unit>
Matrix<float> inFloats(Matrix<Unit> units) {
  return {reinterpret_cast<const float*>(units.data), units.rowStride, units.columnStride};
}

Matrix<float> left(Precision precision, Activations a, int64_t stride, int64_t rows, int64_t width, float* out) {
  return withLayout(precision, a, [=](auto layout, const auto* numbers) {
    prefetchRows(numbers, stride, 0, rows, width);
    return inFloats(layout.left(numbers, stride, rows, width, reinterpret_cast<typename decltype(layout)::Unit*>(out)));
  });
}

void transposed(Precision precision, Activations a, int64_t stride, int64_t rows, int64_t width, float* out) {
  withLayout(precision, a, [=](auto layout, const auto* numbers) {
    layout.acrossTransposed(numbers, stride, rows, width, reinterpret_cast<typename decltype(layout)::Unit*>(out));
  });
}

void pack(Precision precision, Activations b, int64_t rowStride, int64_t columnStride, int64_t first, int64_t rows, int64_t k,
          int64_t n, float* out) {
  withLayout(precision, b, [=](auto layout, const auto* numbers) {
    typedef typename decltype(layout)::Unit Unit;
    const auto place = [=](int64_t row, int64_t column, int64_t columns) {
      return reinterpret_cast<Unit*>(out) + column * layout.depth(k) + layout.depth(row) * wholeLanes(columns);
    };
    // Whole rows as they follow each other in memory: strips of a panel's columns would be two cache lines each.
    constexpr int64_t kRows = 2 * kLanes;
    for (int64_t r = first; columnStride == 1 && r < first + rows; r += kRows) {
      const int64_t count = smaller(kRows, first + rows - r);
      const auto* const from = numbers + r * rowStride;
      prefetchRows(from, rowStride, 0, count, n);
      for (int64_t j = 0; j < n; j += kPanelColumns) {
        const int64_t columns = smaller(kPanelColumns, n - j);
        layout.stacked(from + j, rowStride, count, columns, place(r, j, columns));
      }
    }
    for (int64_t j = 0; columnStride != 1 && j < n; j += kPanelColumns) {
      const int64_t columns = smaller(kPanelColumns, n - j);
      const auto* const from = numbers + j * columnStride + first;
      prefetchRows(from, columnStride, 0, columns, rows);
      layout.transposed(from, columnStride, columns, rows, place(first, j, columns));
    }
  });
}

// The last 1 to 15 columns: through a tile of their own, so that nothing beyond c's columns is touched.
template <typename Unit>
void narrowStrip(Mode<Unit>& mode, Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                 int64_t depth, int64_t columns, bool accumulate) {
  alignas(64) float rows[8 * kLanes];
  for (int64_t i = 0; i < m; i += 8) {
    const int64_t count = smaller(8, m - i);
    for (int64_t r = 0; r < count; r++) {
      store(rows + r * kLanes, accumulate ? loadSome(c + (i + r) * cStride, columns) : Floats{});
    }
    const Matrix<Unit> some = {a.data + i * a.rowStride, a.rowStride, a.columnStride};
    stripProduct<Unit>(mode, some, b, bStride, rows, kLanes, count, depth, kLanes, true);
    for (int64_t r = 0; r < count; r++) storeSome(c + (i + r) * cStride, load(rows + r * kLanes), columns);
  }
}

// As many lines with a step as make panels of weight gradients ask for all of both (products.h).
struct AskingForBoth {
  Asking<4> left;
  Asking<2> right;

  __attribute__((always_inline)) void step() {
    left.step();
    right.step();
  }
};

template <typename Unit>
void productOf(Matrix<Unit> a, const Unit* b, float* c, int64_t cStride, int64_t m, int64_t depth, int64_t n,
               bool accumulate, const NextOperands& next) {
  if (depth == 0 && !accumulate) {
    for (int64_t i = 0; i < m; i++) zeroFloats(c + i * cStride, n);
  }
  Mode<Unit> mode;
  AskingForBoth meanwhile = {Asking<4>(next.left), Asking<2>(next.right)};
  for (int64_t p = 0; p < depth; p += kDepthBlock<Unit>) {
    const int64_t block = smaller(kDepthBlock<Unit>, depth - p);
    const Matrix<Unit> part = {a.data + p * a.columnStride, a.rowStride, a.columnStride};
    for (int64_t j = 0; j < n; j += kPanelColumns) {
      const int64_t columns = smaller(kPanelColumns, n - j), whole = columns / kLanes * kLanes;
      const int64_t stride = wholeLanes(columns);
      const Unit* panel = b + j * depth + p * stride;
      stripProduct(mode, meanwhile, part, panel, stride, c + j, cStride, m, block, whole, accumulate || p > 0);
      if (whole < columns) {
        narrowStrip(mode, part, panel + whole, stride, c + j + whole, cStride, m, block, columns - whole, accumulate || p > 0);
      }
    }
  }
}

void product(Precision precision, Matrix<float> a, const float* b, float* c, int64_t cStride, int64_t m, int64_t k,
             int64_t n, bool accumulate, const NextOperands& next) {
  withLayout(precision, kNone, [=](auto layout, auto*) {
    typedef typename decltype(layout)::Unit Unit;
    const Matrix<Unit> units = {reinterpret_cast<const Unit*>(a.data), a.rowStride, a.columnStride};
    productOf(units, reinterpret_cast<const Unit*>(b), c, cStride, m, layout.depth(k), n, accumulate, next);
  });
}

// Elements from `to` to the next multiple of a vector's size.
int64_t untilAligned(const float* to) {
  return static_cast<int64_t>((0 - reinterpret_cast<uintptr_t>(to)) % sizeof(Floats) / sizeof(float));
}

void stream(const float* from, int64_t fromStride, float* to, int64_t toStride, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, from += fromStride, to += toStride) {
    const int64_t before = smaller(untilAligned(to), width), whole = (width - before) / kLanes * kLanes;
    copyFloats(to, from, before);
    for (int64_t d = before; d < before + whole; d += kLanes) storePast(to + d, load(from + d));
    copyFloats(to + before + whole, from + before + whole, width - before - whole);
  }
  storesPastDone();
}

}  // namespace

void fillProduct(Kernels& table) {
  table.panelColumns = kPanelColumns;
  table.left = left;
  table.transposed = transposed;
  table.pack = pack;
  table.product = product;
  table.stream = stream;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
