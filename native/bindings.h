// The JavaScript functions of the addon: `describe` attaches one function per operation to an object.
#pragma once

#include <node_api.h>

#include "calls.h"

namespace lockstep {

// Adds every operation of `table` to `target` as a function, those left out whose results are numbers where calls wait.
void bindModelOperations(napi_env env, napi_value target, const Table& table);
void bindVectorOperations(napi_env env, napi_value target, const Table& table);
inline void bindOperations(napi_env env, napi_value target, const Table& table) {
  bindModelOperations(env, target, table);
  bindVectorOperations(env, target, table);
}

// The functions of a CUDA device, which is loaded by one of them.
void bindCuda(napi_env env, napi_value target);

}  // namespace lockstep
