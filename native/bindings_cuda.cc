// The CUDA device for JavaScript: loads build/lockstep-cuda.so (native/cuda/), and binds its memory and operations. Memory is
// given by address, a number, which a device's addresses fit. What was allocated here only must be passed: an address is not
// checked. JavaScript's face of it is CudaAddon in src/engine/native/addon.ts.
#include <dlfcn.h>

#include "bindings.h"
#include "call.h"
#include "cuda/device.h"

namespace lockstep {
namespace {

using cuda::Device;

const Device* device = nullptr;

const Device& loaded() {
  if (!device) throw std::runtime_error("no CUDA device was loaded");
  return *device;
}

void* address(const Arguments& a, int index, const char* name) {
  return reinterpret_cast<void*>(static_cast<uintptr_t>(a.count(index, name)));
}

Format format(const Arguments& a, int index, const char* name) {
  return a.flag(index, name) ? Format::bfloat16 : Format::float32;
}

napi_value number(const Arguments& a, double value) {
  napi_value result;
  napi_create_double(a.env(), value, &result);
  return result;
}

// load(path) -> how many devices there are
napi_value load(const Arguments& a) {
  const std::string path = a.text(0, "path");
  if (!device) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(dlerror());
    using Entry = const Device* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(library, "lockstepCudaDevice"));
    if (!entry || entry()->version != cuda::kDeviceVersion) throw std::runtime_error(path + " is not of this version");
    device = entry();
  }
  return number(a, loaded().count());
}

// productVersion() -> of cuBLASLt
napi_value productVersion(const Arguments& a) { return number(a, static_cast<double>(loaded().productVersion())); }

// The thread that opens the device gives it back when it ends.
napi_value open(const Arguments& a) {
  loaded().open(static_cast<int>(a.size(0, "index")));
  napi_add_env_cleanup_hook(a.env(), [](void*) { loaded().close(); }, nullptr);
  const cuda::DeviceInfo info = loaded().info();
  napi_value result, value;
  napi_create_object(a.env(), &result);
  const auto set = [&](const char* name, napi_value value) { napi_set_named_property(a.env(), result, name, value); };
  napi_create_string_utf8(a.env(), info.name, NAPI_AUTO_LENGTH, &value);
  set("name", value);
  napi_create_string_utf8(a.env(), info.architecture, NAPI_AUTO_LENGTH, &value);
  set("architecture", value);
  set("totalBytes", number(a, static_cast<double>(info.totalBytes)));
  set("freeBytes", number(a, static_cast<double>(info.freeBytes)));
  set("runtimeVersion", number(a, info.runtimeVersion));
  set("productVersion", number(a, static_cast<double>(info.productVersion)));
  napi_get_boolean(a.env(), info.emulated, &value);
  set("emulated", value);
  return result;
}

// allocate(bytes) -> address, or 0 where no memory is left
napi_value allocate(const Arguments& a) {
  const void* const memory = loaded().allocate(a.count(0, "bytes"));
  return number(a, static_cast<double>(reinterpret_cast<uintptr_t>(memory)));
}

napi_value release(const Arguments& a) {
  loaded().free(address(a, 0, "address"));
  return nullptr;
}

napi_value pin(const Arguments& a) {
  int64_t bytes;
  const uint8_t* const memory = a.bytes(0, "host", &bytes);
  loaded().pin(const_cast<uint8_t*>(memory), bytes);
  return nullptr;
}

napi_value upload(const Arguments& a) {
  int64_t bytes;
  const uint8_t* const host = a.bytes(1, "host", &bytes);
  loaded().upload(address(a, 0, "address"), host, bytes);
  return nullptr;
}

napi_value download(const Arguments& a) {
  int64_t bytes;
  const uint8_t* const host = a.bytes(0, "host", &bytes);
  loaded().download(const_cast<uint8_t*>(host), address(a, 1, "address"), bytes);
  return nullptr;
}

napi_value fetch(const Arguments& a) {
  int64_t bytes;
  const uint8_t* const host = a.bytes(0, "host", &bytes);
  loaded().fetch(const_cast<uint8_t*>(host), address(a, 1, "address"), bytes);
  return nullptr;
}

napi_value fetched(const Arguments& a) { return number(a, static_cast<double>(loaded().fetched(a.flag(0, "wait")))); }

napi_value zero(const Arguments& a) {
  loaded().zero(address(a, 0, "address"), a.count(1, "bytes"));
  return nullptr;
}

napi_value synchronise(const Arguments&) {
  loaded().synchronise();
  return nullptr;
}

// starved(on) -> seconds
napi_value starved(const Arguments& a) { return number(a, loaded().starved(a.flag(0, "on"))); }

napi_value convert(const Arguments& a) {
  loaded().convert(address(a, 0, "to"), format(a, 1, "toBfloat16"), address(a, 2, "from"), format(a, 3, "fromBfloat16"),
                   a.count(4, "count"));
  return nullptr;
}

napi_value sum(const Arguments& a) {
  loaded().sum(address(a, 0, "out"), address(a, 1, "a"), address(a, 2, "b"), a.count(3, "count"), format(a, 4, "bfloat16"));
  return nullptr;
}

// operations(arithmetic) -> an object of the operations over device memory
napi_value operations(const Arguments& a) {
  const int64_t arithmetic = a.size(0, "arithmetic");
  if (arithmetic > 2) throw ArgumentError(true, "arithmetic: expected 0 to 2");
  const Operations& table = loaded().operations(static_cast<cuda::Arithmetic>(arithmetic));
  napi_value target;
  napi_create_object(a.env(), &target);
  bindOperations(a.env(), target, {&table});
  return target;
}

}  // namespace

void bindCuda(napi_env env, napi_value target) {
  define<load>(env, target, "load");
  define<productVersion>(env, target, "productVersion");
  define<open>(env, target, "open");
  define<allocate>(env, target, "allocate");
  define<release>(env, target, "release");
  define<pin>(env, target, "pin");
  define<upload>(env, target, "upload");
  define<download>(env, target, "download");
  define<fetch>(env, target, "fetch");
  define<fetched>(env, target, "fetched");
  define<zero>(env, target, "zero");
  define<synchronise>(env, target, "synchronise");
  define<starved>(env, target, "starved");
  define<convert>(env, target, "convert");
  define<sum>(env, target, "sum");
  define<operations>(env, target, "operations");
}

}  // namespace lockstep
