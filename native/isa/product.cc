// Matrix product of one panel, for any strides: operands are copied block by block into the layout tile.h wants.
#include "isa/shuffle.h"
#include "isa/tile.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// out[rows][wholeLanes(columns)], zero beyond `columns`.
void packRows(Matrix<float> a, int64_t rows, int64_t columns, float* out) {
  const int64_t stride = wholeLanes(columns);
  for (int64_t r = 0; r < rows; r++) {
    const float* from = a.data + r * a.rowStride;
    if (a.columnStride == 1) {
      copyFloats(out + r * stride, from, columns);
    } else {
      for (int64_t c = 0; c < columns; c++) out[r * stride + c] = from[c * a.columnStride];
    }
    for (int64_t c = columns; c < stride; c++) out[r * stride + c] = 0;
  }
}

// The same for a matrix whose columns, not rows, are dense in memory: 16 × 16 squares are transposed in registers.
void packColumns(Matrix<float> a, int64_t rows, int64_t columns, float* out) {
  const int64_t stride = wholeLanes(columns);
  for (int64_t c = 0; c < columns; c += kLanes) {
    const int64_t wide = smaller(kLanes, columns - c);
    for (int64_t r = 0; r < rows; r += kLanes) {
      const int64_t high = smaller(kLanes, rows - r);
      Floats square[16];
      for (int i = 0; i < 16; i++) {
        square[i] = i < wide ? loadSome(a.data + (c + i) * a.columnStride + r, high) : Floats{};
      }
      transpose(square);
      for (int64_t i = 0; i < high; i++) store(out + (r + i) * stride + c, square[i]);
    }
  }
}

void pack(Matrix<float> a, int64_t rows, int64_t columns, float* out) {
  if (a.rowStride == 1 && a.columnStride != 1) {
    packColumns(a, rows, columns, out);
  } else {
    packRows(a, rows, columns, out);
  }
}

// c[m, last 1..15 columns]: through a tile of its own, so that nothing beyond c's columns is touched.
void narrowStrip(Matrix<float> a, const float* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                 int64_t depth, int64_t columns, bool accumulate) {
  alignas(64) float row[kLanes];
  for (int64_t i = 0; i < m; i++) {
    store(row, accumulate ? loadSome(c + i * cStride, columns) : Floats{});
    tile<1, 1>(Matrix<float>{a.data + i * a.rowStride, 0, a.columnStride}, b, bStride, row, kLanes, depth, true);
    storeSome(c + i * cStride, load(row), columns);
  }
}

void product(Matrix<float> a, Matrix<float> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
             bool accumulate, float* scratch) {
  float* packedB = scratch;
  float* packedA = scratch + kProductDepth * kProductColumns;
  if (k == 0 && !accumulate) {
    for (int64_t i = 0; i < m; i++) zeroFloats(c + i * cStride, n);
  }
  for (int64_t p = 0; p < k; p += kProductDepth) {
    const int64_t depth = smaller(kProductDepth, k - p);
    Matrix<float> left = {a.data + p * a.columnStride, a.rowStride, a.columnStride};
    if (a.columnStride != 1) {
      pack(left, m, depth, packedA);
      left = {packedA, wholeLanes(depth), 1};
    }
    for (int64_t j = 0; j < n; j += kProductColumns) {
      const int64_t columns = smaller(kProductColumns, n - j), whole = columns / kLanes * kLanes;
      const int64_t bStride = wholeLanes(columns);
      pack({b.data + p * b.rowStride + j * b.columnStride, b.rowStride, b.columnStride}, depth, columns, packedB);
      const bool add = accumulate || p > 0;
      stripProduct(left, packedB, bStride, c + j, cStride, m, depth, whole, add);
      if (whole < columns) {
        narrowStrip(left, packedB + whole, bStride, c + j + whole, cStride, m, depth, columns - whole, add);
      }
    }
  }
}

}  // namespace

void fillProduct(Kernels& table) { table.product = product; }

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
