// Memory that JavaScript and this process share: blocks for tensors, frames received from sockets, and checksums
// of what crosses them.
#pragma once

#include <node_api.h>

#include <cstddef>

namespace lockstep {

// Memory of whole large pages, where the system has them, to be given back to free(). Its content is undefined. Throws bad_alloc.
void* largePages(size_t bytes);

// Makes malloc keep what is freed. Received frames of a megabyte come and go by the hundred, and by default glibc gives
// each back to the system and takes it again, page fault by page fault. For the whole process; may be called again.
void keepFreedMemory();

// allocate, useHugePages, release and crc32.
void bindMemory(napi_env env, napi_value target);

}  // namespace lockstep
