// The device's memory, streams and copies, and the table that the addon gets. See device.h.
#include "device.h"

#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "product.h"
#include "runtime.h"

namespace lockstep::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would report it again
  throw std::runtime_error("CUDA: " + std::string(what) + " failed: " + cudaGetErrorString(status));
}

namespace {

cudaStream_t compute = nullptr, copies = nullptr;
// What the thread that opened the device has of it.
std::unordered_set<void*> taken, pinned;

struct Piece {
  void* memory = nullptr;
  int64_t bytes = 0;
};
Piece pieces[static_cast<int>(Scratch::count)];

int count() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess) return devices;
  cudaGetLastError();
  return 0;  // as without a driver
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
    cudaGetLastError();
    return nullptr;
  }
  check(status, "taking memory");
  taken.insert(memory);
  return memory;
}

void release(void* memory) {
  check(cudaFree(memory), "giving memory back");
  taken.erase(memory);
}

void pin(void* host, int64_t bytes) {
  if (cudaHostRegister(host, static_cast<size_t>(bytes), cudaHostRegisterDefault) == cudaSuccess) {
    pinned.insert(host);
  } else {
    cudaGetLastError();
  }
}

// ---- whether the host keeps the device busy

bool isMetering = false;
double starvedSeconds = 0;
std::chrono::steady_clock::time_point lastWork;

double starved(bool on) {
  const double seconds = starvedSeconds;
  isMetering = on;
  starvedSeconds = 0;
  lastWork = std::chrono::steady_clock::now();
  return seconds;
}

void synchronise() {
  check(cudaStreamSynchronize(compute), "the computation");
  lastWork = std::chrono::steady_clock::now();
}

void upload(void* device, const void* host, int64_t bytes) {
  workComes();
  check(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, compute), "a copy to the device");
}

void download(void* host, const void* device, int64_t bytes) {
  workComes();
  check(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, compute), "a copy to the host");
  synchronise();
}

void zero(void* device, int64_t bytes) {
  workComes();
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
    if (status == cudaErrorNotReady) {
      cudaGetLastError();
      break;
    }
    check(status, "a copy to the host");
    underWay.pop_front();
    idleEvents.push_back(first);
    finished++;
  }
  return finished;
}

// For a thread that ends, whatever state it left: nothing here throws.
void close() {
  cudaStreamSynchronize(compute);
  cudaStreamSynchronize(copies);
  for (void* const host : pinned) cudaHostUnregister(host);
  for (void* const memory : taken) cudaFree(memory);
  for (const cudaEvent_t event : underWay) cudaEventDestroy(event);
  for (const cudaEvent_t event : idleEvents) cudaEventDestroy(event);
  cudaStreamDestroy(compute);
  cudaStreamDestroy(copies);
  cudaGetLastError();
  pinned.clear();
  taken.clear();
  underWay.clear();
  idleEvents.clear();
  for (Piece& piece : pieces) piece = {};
  finished = 0;
  isMetering = false;
  compute = copies = nullptr;
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

void workComes() {
  if (!isMetering) return;
  const auto now = std::chrono::steady_clock::now();
  if (cudaStreamQuery(compute) == cudaSuccess) {
    starvedSeconds += std::chrono::duration<double>(now - lastWork).count();
  } else {
    cudaGetLastError();  // "not ready" counts as one
  }
  lastWork = now;
}

void allowSharedMemory(const void* kernel, size_t bytes) {
  static std::map<const void*, size_t> allowed;
  size_t& most = allowed[kernel];
  if (bytes <= most) return;
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)) != cudaSuccess) {
    cudaGetLastError();
    throw std::runtime_error("a kernel needs " + std::to_string(bytes >> 10) +
                             " KiB of shared memory, which this device does not give to one block: use more, and so narrower, "
                             "heads, or precision: bfloat16");
  }
  most = bytes;
}

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
    made.productVersion = productVersion;
    made.open = open;
    made.close = close;
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
    made.starved = starved;
    made.operations = operations;
    fillVectorFunctions(made);
    return made;
  }();
  return &device;
}
