// Turns a C++ function over checked arguments into a JavaScript function, and C++ exceptions into JavaScript's.
#pragma once

#include <node_api.h>

#include <exception>

#include "arguments.h"

namespace lockstep {

using Body = napi_value (*)(const Arguments&);

template <Body body>
napi_value call(napi_env env, napi_callback_info info) {
  try {
    return body(Arguments(env, info));
  } catch (const ArgumentError& error) {
    (error.isRange ? napi_throw_range_error : napi_throw_type_error)(env, nullptr, error.what());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

// `name` is a literal.
template <Body body>
void define(napi_env env, napi_value target, const char* name, const Callee& callee = {}) {
  napi_value function;
  void* const bound = &Environment::of(env).addFunction(name, callee);
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call<body>, bound, &function);
  napi_set_named_property(env, target, name, function);
}

}  // namespace lockstep
