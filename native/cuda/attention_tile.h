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

// Two neighbours in k as one register.
template <int step>
__device__ inline uint32_t loadPair(const Bfloat16* p) {
  if constexpr (step == 1) {
    return *reinterpret_cast<const uint32_t*>(p);
  } else {
    return p[0].bits | uint32_t{p[step].bits} << 16;
  }
}

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
#else
__device__ inline void multiplyFragments(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// d += a · b of shared memory, where a(row, k) = a[row * aRow + k] for the warp's 16 rows and b(k, n) = b[k * bK + n * bN].
template <int N, int K, int aRow, int bK, int bN>
__device__ inline void multiplyTiles(Rows<N>& d, const Bfloat16* a, const Bfloat16* b) {
  const int group = static_cast<int>(threadIdx.x % 32) / 4, pair = static_cast<int>(threadIdx.x % 4) * 2;
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    const Bfloat16* const at = a + group * aRow + k + pair;
    const uint32_t left[4] = {loadPair<1>(at), loadPair<1>(at + 8 * aRow), loadPair<1>(at + 8), loadPair<1>(at + 8 * aRow + 8)};
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
      const Bfloat16* const bt = b + (k + pair) * bK + (n * 8 + group) * bN;
      const uint32_t right[2] = {loadPair<bK>(bt), loadPair<bK>(bt + 8 * bK)};
      multiplyFragments(d.at[n], left, right);
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

// Rows [first, first + kTile) of a matrix into a tile of D columns, by the whole block; what the matrix has not is 0.
template <typename T, int D>
__device__ inline void loadTile(T* tile, const T* matrix, int64_t first, int64_t rows, int64_t rowStride, int width) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * D; i += kTileThreads) {
    const int row = i / D, column = i % D;
    const bool isThere = first + row < rows && column < width;
    tile[row * stride<T>(D) + column] = isThere ? matrix[(first + row) * rowStride + column] : fromFloat<T>(0);
  }
}

// The warp's 16 rows into its part of a tile, for a product to read; other warps do not.
template <typename T, int N>
__device__ inline void storeRows(T* tile, const Rows<N>& rows) {
  for (int n = 0; n < N / 8; n++) {
    for (int e = 0; e < 4; e++) {
      tile[Rows<N>::line(e) * stride<T>(N) + Rows<N>::column(n, e)] = fromFloat<T>(rows.at[n][e]);
    }
  }
  __syncwarp();
}

}  // namespace lockstep::cuda
