// CRC-32 as zlib computes it (reflected polynomial 0xEDB88320, starting and ending inverted).
#pragma once

#include <cstdint>

namespace lockstep {

uint32_t crc32(const uint8_t* data, int64_t length);

}  // namespace lockstep
