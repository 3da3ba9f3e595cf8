// What attention's kernels are made of: tiles in the block's shared memory, and their products in a warp's registers. The
// registers hold 16 rows as the tensor cores' instruction mma.m16n8k16 lays them out (PTX ISA, "Matrix Fragments for
// mma.m16n8k16"): of each 8 columns a lane has columns 2p and 2p + 1 of rows g and g + 8, with g = lane / 4, p = lane % 4.
#pragma once

#include "element.h"
#include "runtime.h"

namespace lockstep::cuda {

constexpr int kTile = 64;               // queries or keys of a tile
constexpr int kWarps = kTile / 16;      // 16 rows each
constexpr int kTileThreads = kWarps * 32;

// Elements from one row of a tile to the next: shifted, so that the rows a warp reads at once lie in different banks.
template <typename T>
__host__ __device__ constexpr int stride(int width) {
  return width + 16 / static_cast<int>(sizeof(T));
}

// 16 rows × N columns of this warp.
template <int N>
struct Rows {
  float at[N / 8][4] = {};
  // Element e of group n stands in row line(e) of the 16, and in column column(n, e).
  __device__ static int line(int e) { return static_cast<int>(threadIdx.x % 32) / 4 + (e < 2 ? 0 : 8); }
  __device__ static int column(int n, int e) { return n * 8 + static_cast<int>(threadIdx.x % 4) * 2 + e % 2; }
};

#ifdef LOCKSTEP_CUDA_EMULATION
// d += a · b, from the elements that the instruction takes from each lane.
inline void multiplyFragments(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  auto& ofLane = emulation::warpExchange().ofLane;
  std::memcpy(ofLane[threadIdx.x % 32], a, sizeof a);
  std::memcpy(ofLane[threadIdx.x % 32] + sizeof a, b, sizeof b);
  emulation::warpBarrier();
  // Rows g and g + 8 of a are spread over the lanes of this group, column c of b over the lanes of group c.
  const int group = static_cast<int>(threadIdx.x % 32) / 4;
  const auto element = [&](int lane, int i, int half) {
    Bfloat16 value;
    std::memcpy(&value, ofLane[lane] + i * 4 + half * 2, 2);
    return toFloat(value);
  };
  for (int e = 0; e < 4; e++) {
    const int column = Rows<8>::column(0, e);
    for (int k = 0; k < 16; k++) {
      const int pair = k % 8 / 2, upper = k / 8;
      d[e] += element(group * 4 + pair, e / 2 + upper * 2, k % 2) * element(column * 4 + pair, 4 + upper, k % 2);
    }
  }
  emulation::warpBarrier();
}

// The four matrices of 8 × 8 that the instruction below loads, from the rows that it takes from each lane.
template <bool transposed>
inline void loadMatrices(uint32_t (&to)[4], const Bfloat16* row) {
  emulation::checkAlignment(row, 16);
  auto& ofLane = emulation::warpExchange().ofLane;
  const int lane = static_cast<int>(threadIdx.x % 32), group = lane / 4, pair = lane % 4 * 2;
  std::memcpy(ofLane[lane], &row, sizeof row);
  emulation::warpBarrier();
  const auto element = [&](int matrix, int row, int column) {
    const Bfloat16* at;
    std::memcpy(&at, ofLane[matrix * 8 + row], sizeof at);
    return uint32_t{at[column].bits};
  };
  for (int i = 0; i < 4; i++) {
    to[i] = transposed ? element(i, pair, group) | element(i, pair + 1, group) << 16
                       : element(i, group, pair) | element(i, group, pair + 1) << 16;
  }
  emulation::warpBarrier();
}
#else
__device__ inline void multiplyFragments(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices of 8 × 8 elements in shared memory, of which lane l names row l % 8 of matrix l / 8. A lane gets of each the
// elements (g, 2p) and (g, 2p + 1), or with `transposed` (2p, g) and (2p + 1, g) (PTX ISA, "ldmatrix").
template <bool transposed>
__device__ inline void loadMatrices(uint32_t (&to)[4], const Bfloat16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  }
}
#endif

// d += a · b of shared memory, where a(row, k) = a[row * aRow + k] for the warp's 16 rows and b(k, n) = b[k * bK + n * bN].
template <int N, int K, int aRow, int bK, int bN>
__device__ inline void multiplyTiles(Rows<N>& d, const Bfloat16* a, const Bfloat16* b) {
  static_assert(bK == 1 || bN == 1, "rows of b lie either way");
  constexpr bool transposed = bN == 1;  // a row of memory is a k of all n
  const int lane = static_cast<int>(threadIdx.x % 32), row = lane % 8, odd = lane / 8 % 2 * 8, upper = lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    uint32_t left[4];
    loadMatrices<false>(left, a + (row + odd) * aRow + k + upper);
#pragma unroll
    for (int n = 0; n < N / 8; n += 2) {
      uint32_t right[4];  // two for each of two groups of columns
      const int atK = k + odd, atN = n * 8 + upper;
      loadMatrices<transposed>(right, transposed ? b + (atK + row) * bK + atN : b + (atN + row) * bN + atK);
      multiplyFragments(d.at[n], left, {right[0], right[1]});
      multiplyFragments(d.at[n + 1], left, {right[2], right[3]});
    }
  }
}

template <int N, int K, int aRow, int bK, int bN>
__device__ inline void multiplyTiles(Rows<N>& d, const float* a, const float* b) {
  const int group = static_cast<int>(threadIdx.x % 32) / 4, pair = static_cast<int>(threadIdx.x % 4) * 2;
  for (int k = 0; k < K; k++) {
    const float upper = a[group * aRow + k], lower = a[(group + 8) * aRow + k];
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
      const float left = b[k * bK + (n * 8 + pair) * bN], right = b[k * bK + (n * 8 + pair + 1) * bN];
      d.at[n][0] += upper * left;
      d.at[n][1] += upper * right;
      d.at[n][2] += lower * left;
      d.at[n][3] += lower * right;
    }
  }
}

// Read and written at once.
struct alignas(16) Portion {
  uint32_t words[4];
};

// Rows [first, first + kTile) of a matrix into a tile of D columns, by the whole block; what the matrix has not is 0.
template <typename T, int D>
__device__ inline void loadTile(T* tile, const T* matrix, int64_t first, int64_t rows, int64_t rowStride, int width) {
  constexpr int V = static_cast<int>(sizeof(Portion) / sizeof(T));
  if (width % V == 0 && rowStride % V == 0 && reinterpret_cast<uintptr_t>(matrix) % sizeof(Portion) == 0) {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < kTile * D / V; i += kTileThreads) {
      const int row = i / (D / V), column = i % (D / V) * V;
      Portion portion = {};
      if (first + row < rows && column < width) portion = *whole<Portion>(matrix + (first + row) * rowStride + column);
      *whole<Portion>(tile + row * stride<T>(D) + column) = portion;
    }
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < kTile * D; i += kTileThreads) {
    const int row = i / D, column = i % D;
    const bool isThere = first + row < rows && column < width;
    tile[row * stride<T>(D) + column] = isThere ? matrix[(first + row) * rowStride + column] : fromFloat<T>(0);
  }
}

// The warp's 16 rows into its part of a tile, for a product to read; other warps do not.
template <typename T, int N>
__device__ inline void storeRows(T* tile, const Rows<N>& rows) {
#pragma unroll
  for (int n = 0; n < N / 8; n++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      tile[Rows<N>::line(e) * stride<T>(N) + Rows<N>::column(n, e)] = fromFloat<T>(rows.at[n][e]);
    }
  }
  __syncwarp();
}

}  // namespace lockstep::cuda
