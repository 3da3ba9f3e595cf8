// The device's memory, streams and copies, and the table that the addon gets. See device.h.
#include "device.h"

#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "product.h"
#include "runtime.h"

namespace lockstep::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error("CUDA: " + std::string(what) + " failed: " + cudaGetErrorString(status));
}

namespace {

cudaStream_t compute = nullptr, copies = nullptr;

struct Piece {
  void* memory = nullptr;
  int64_t bytes = 0;
};
Piece pieces[static_cast<int>(Scratch::count)];

int count() {
  int devices = 0;
  // Without a driver that is an error, and no device.
  return cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

void open(int index) {
  check(cudaSetDevice(index), "choosing the device");
  check(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking), "making a stream");
  check(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking), "making a stream");
  productVersion();  // loads the library: what is missing shows now
}

DeviceInfo info() {
  int index = 0;
  check(cudaGetDevice(&index), "asking for the device");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "asking for the device's properties");
  size_t freeBytes = 0, totalBytes = 0;
  check(cudaMemGetInfo(&freeBytes, &totalBytes), "asking for the device's memory");
  DeviceInfo info = {};
  std::snprintf(info.name, sizeof info.name, "%s", properties.name);
  std::snprintf(info.architecture, sizeof info.architecture, "sm_%d%d", properties.major, properties.minor);
  info.totalBytes = static_cast<int64_t>(totalBytes);
  info.freeBytes = static_cast<int64_t>(freeBytes);
  check(cudaRuntimeGetVersion(&info.runtimeVersion), "asking for the runtime's version");
  info.productVersion = productVersion();
#ifdef LOCKSTEP_CUDA_EMULATION
  info.emulated = true;
#endif
  return info;
}

void* allocate(int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // or the next launch would report it again
    return nullptr;
  }
  check(status, "taking memory");
  return memory;
}

void release(void* memory) { check(cudaFree(memory), "giving memory back"); }

void pin(void* host, int64_t bytes) {
  if (cudaHostRegister(host, static_cast<size_t>(bytes), cudaHostRegisterDefault) != cudaSuccess) cudaGetLastError();
}

void synchronise() { check(cudaStreamSynchronize(compute), "the computation"); }

void upload(void* device, const void* host, int64_t bytes) {
  check(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, compute), "a copy to the device");
}

void download(void* host, const void* device, int64_t bytes) {
  check(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, compute), "a copy to the host");
  synchronise();
}

void zero(void* device, int64_t bytes) {
  check(cudaMemsetAsync(device, 0, static_cast<size_t>(bytes), compute), "filling with zeros");
}

// ---- copies to the host beside the computation

std::deque<cudaEvent_t> underWay;  // the ends of fetches, in order
std::vector<cudaEvent_t> idleEvents;
int64_t finished = 0;

cudaEvent_t takeEvent() {
  if (idleEvents.empty()) {
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    return event;
  }
  const cudaEvent_t event = idleEvents.back();
  idleEvents.pop_back();
  return event;
}

void fetch(void* host, const void* device, int64_t bytes) {
  const cudaEvent_t computed = takeEvent(), copied = takeEvent();
  check(cudaEventRecord(computed, compute), "recording an event");
  check(cudaStreamWaitEvent(copies, computed, 0), "waiting for an event");
  check(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, copies), "a copy to the host");
  check(cudaEventRecord(copied, copies), "recording an event");
  underWay.push_back(copied);
  idleEvents.push_back(computed);  // a wait looks at what was recorded last when it was called
}

int64_t fetched(bool wait) {
  while (!underWay.empty()) {
    const cudaEvent_t first = underWay.front();
    const cudaError_t status = wait ? cudaEventSynchronize(first) : cudaEventQuery(first);
    if (status == cudaErrorNotReady) break;
    check(status, "a copy to the host");
    underWay.pop_front();
    idleEvents.push_back(first);
    finished++;
  }
  return finished;
}

Operations makeOperations(Arithmetic arithmetic) {
  Operations table = {};
  fillLinear(table, arithmetic);
  fillAttention(table, arithmetic);
  fillNorm(table, arithmetic);
  fillEmbedding(table, arithmetic);
  fillLoss(table, arithmetic);
  cuda::fillVectors(table);
  table.onDevice = true;
  return table;
}

const Operations& operations(Arithmetic arithmetic) {
  static const Operations tables[] = {makeOperations(Arithmetic::float32), makeOperations(Arithmetic::tf32),
                                      makeOperations(Arithmetic::bfloat16)};
  return tables[static_cast<int>(arithmetic)];
}

}  // namespace

cudaStream_t computeStream() { return compute; }

void* scratchBytes(Scratch purpose, int64_t bytes) {
  Piece& piece = pieces[static_cast<int>(purpose)];
  if (bytes <= piece.bytes) return piece.memory;
  if (piece.memory) release(piece.memory);  // waits for what uses it
  piece = {};
  piece.memory = allocate(bytes);
  if (!piece.memory) {
    throw std::runtime_error("out of device memory: no " + std::to_string(bytes >> 20) +
                             " MiB left to work in; lower batch.samples or window");
  }
  piece.bytes = bytes;
  return piece.memory;
}

}  // namespace lockstep::cuda

extern "C" __attribute__((visibility("default"))) const lockstep::cuda::Device* lockstepCudaDevice() {
  using namespace lockstep::cuda;
  static const Device device = [] {
    Device made = {};
    made.version = kDeviceVersion;
    made.count = count;
    made.open = open;
    made.info = info;
    made.allocate = allocate;
    made.free = release;
    made.pin = pin;
    made.upload = upload;
    made.download = download;
    made.zero = zero;
    made.fetch = fetch;
    made.fetched = fetched;
    made.synchronise = synchronise;
    made.operations = operations;
    fillVectorFunctions(made);
    return made;
  }();
  return &device;
}
