// Sums down the columns of a matrix [rows, width], the gradient of everything that is added to each row: by panels of rows, whose
// sums are then added in order. The panels depend on the number of rows alone.
#pragma once

#include "device.h"
#include "element.h"
#include "runtime.h"

namespace lockstep::cuda {

constexpr int64_t kPanels = 64;
constexpr int kColumnLanes = 32, kColumnRows = 8;  // threads of a block: lanes across columns, and rows at a time

// `terms(row, column, sums)` adds the terms of V elements to `sums`, one Lanes<V> for each of the S results.
template <int V, int S, typename Terms>
__global__ void sumPanel(Terms terms, float* partials, int64_t rows, int64_t width) {
  const int lane = threadIdx.x % kColumnLanes, line = threadIdx.x / kColumnLanes;
  const int64_t column = (int64_t{blockIdx.x} * kColumnLanes + lane) * V;
  const int64_t panelRows = divideUp(rows, kPanels), first = blockIdx.y * panelRows;
  const int64_t end = first + panelRows < rows ? first + panelRows : rows;
  Lanes<V> sums[S] = {};
  if (column < width) {
    for (int64_t row = first + line; row < end; row += kColumnRows) terms(row, column, sums);
  }
  __shared__ float ofLine[kColumnRows][S][kColumnLanes * V];
  for (int s = 0; s < S; s++) {
    for (int v = 0; v < V; v++) ofLine[line][s][lane * V + v] = sums[s].at[v];
  }
  __syncthreads();
  if (line > 0 || column >= width) return;
  for (int s = 0; s < S; s++) {
    for (int v = 0; v < V; v++) {
      float sum = 0;
      for (int i = 0; i < kColumnRows; i++) sum += ofLine[i][s][lane * V + v];
      partials[(int64_t{blockIdx.y} * S + s) * width + column + v] = sum;
    }
  }
}

// out[s][column] = the sum over panels; an out that is null is not wanted.
template <int S>
__global__ void addPanels(const float* partials, float* out0, float* out1, int64_t width) {
  const int64_t column = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= width) return;
  for (int s = 0; s < S; s++) {
    float* const out = s == 0 ? out0 : out1;
    float sum = 0;
    for (int64_t panel = 0; panel < kPanels; panel++) sum += partials[(panel * S + s) * width + column];
    if (out) out[column] = sum;
  }
}

template <int V, int S, typename Terms>
void sumColumns(const Terms& terms, float* out0, float* out1, int64_t rows, int64_t width) {
  float* const partials = scratch<float>(Scratch::columns, kPanels * S * width);
  const auto across = static_cast<unsigned>(divideUp(width, kColumnLanes * V));
  launch(sumPanel<V, S, Terms>, dim3(across, kPanels), kColumnLanes * kColumnRows, 0, terms, partials, rows, width);
  launch(addPanels<S>, dim3(static_cast<unsigned>(divideUp(width, 128))), 128, 0, static_cast<const float*>(partials),
         out0, out1, width);
}

}  // namespace lockstep::cuda
