// Tokens in the order of their ids, equal ones in their own order.
#pragma once

#include <cstdint>

namespace lockstep::cuda {

struct Sorted {
  const int32_t* ids;   // ascending
  const int32_t* rows;  // where each stood
};

// In scratch memory, until the next call.
Sorted sortIds(const int32_t* ids, int64_t count);

}  // namespace lockstep::cuda
