// The JavaScript functions of the addon's operations: `bind…` adds one function per operation to an object.
#pragma once

#include <node_api.h>

#include "calls.h"

namespace lockstep {

// For a queue without those that return a number.
void bindModelOperations(napi_env env, napi_value target, const Callee& callee);
void bindVectorOperations(napi_env env, napi_value target, const Callee& callee);
inline void bindOperations(napi_env env, napi_value target, const Callee& callee) {
  bindModelOperations(env, target, callee);
  bindVectorOperations(env, target, callee);
}

// The functions of a CUDA device, which is loaded by one of them.
void bindCuda(napi_env env, napi_value target);

}  // namespace lockstep
