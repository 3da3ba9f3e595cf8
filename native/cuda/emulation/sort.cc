// Sorting of the emulation. See ../sort.h.
#include "../sort.h"

#include <algorithm>
#include <numeric>

#include "../device.h"

namespace lockstep::cuda {

Sorted sortIds(const int32_t* ids, int64_t count) {
  int32_t* const rows = scratch<int32_t>(Scratch::order, count);
  int32_t* const sortedIds = scratch<int32_t>(Scratch::sorted, count);
  std::iota(rows, rows + count, 0);
  std::stable_sort(rows, rows + count, [=](int32_t a, int32_t b) { return ids[a] < ids[b]; });
  for (int64_t i = 0; i < count; i++) sortedIds[i] = ids[rows[i]];
  return {sortedIds, rows};
}

}  // namespace lockstep::cuda
