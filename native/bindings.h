// The JavaScript functions of the addon: `describe` attaches one function per operation to an object.
#pragma once

#include <node_api.h>

#include "operations.h"

namespace lockstep {

// Adds every operation of `operations` to `target` as a function. `operations` must outlive the process.
void bindModelOperations(napi_env env, napi_value target, const Operations& operations);
void bindVectorOperations(napi_env env, napi_value target, const Operations& operations);

// The functions of a CUDA device, which is loaded by one of them.
void bindCuda(napi_env env, napi_value target);

}  // namespace lockstep
