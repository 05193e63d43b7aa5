#include "kernels/rulers/cublas.hpp"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <array>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::kernels::gpu {
namespace {

/// The functions of the library that are called.
struct Functions {
  cublasStatus_t (*create)(cublasHandle_t*) = nullptr;
  cublasStatus_t (*destroy)(cublasHandle_t) = nullptr;
  cublasStatus_t (*get_property)(libraryPropertyType, int*) = nullptr;
  cublasStatus_t (*set_stream)(cublasHandle_t, cudaStream_t) = nullptr;
  cublasStatus_t (*gemm)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                         const void*, const void*, cudaDataType, int, const void*, cudaDataType,
                         int, const void*, void*, cudaDataType, int, cublasComputeType_t,
                         cublasGemmAlgo_t) = nullptr;
};

/// The library, which stays loaded, or why it is not there.
struct Library {
  Functions functions{};
  std::string problem{};
};

template <class Function>
void find(void* library, const char* name, Function& function, std::string& problem) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) problem = fmt::format("{} is not in it", name);
}

Library load() {
  Library loaded;
  const auto name = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  // Where the loader does not look, it may still be where the build has found it.
  if (library == nullptr) library = dlopen(ANNULUS_CUBLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    loaded.problem = reason == nullptr ? name : reason;
    return loaded;
  }
  auto& [create, destroy, get_property, set_stream, gemm] = loaded.functions;
  find(library, "cublasCreate_v2", create, loaded.problem);
  find(library, "cublasDestroy_v2", destroy, loaded.problem);
  find(library, "cublasGetProperty", get_property, loaded.problem);
  find(library, "cublasSetStream_v2", set_stream, loaded.problem);
  find(library, "cublasGemmEx", gemm, loaded.problem);
  return loaded;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(fmt::format("{} failed with status {}", call, static_cast<int>(status)));
}

cudaDataType cuda_type(DataType type) {
  switch (type) {
    case DataType::bfloat16:
      return CUDA_R_16BF;
    case DataType::float16:
      return CUDA_R_16F;
    case DataType::float32:
      return CUDA_R_32F;
    case DataType::float64:
      break;
  }
  broken_invariant("products by cuBLAS are of bf16, fp16 or fp32");
}

class LoadedCublas final : public Cublas {
 public:
  explicit LoadedCublas(std::shared_ptr<device::Stream> stream) : stream_(std::move(stream)) {
    // Which makes the device of the stream that of this thread.
    auto* const handle = static_cast<cudaStream_t>(stream_->handle());
    check(call_.create(&handle_), "cublasCreate");
    check(call_.set_stream(handle_, handle), "cublasSetStream");
  }
  LoadedCublas(const LoadedCublas&) = delete;
  LoadedCublas& operator=(const LoadedCublas&) = delete;
  ~LoadedCublas() override { static_cast<void>(call_.destroy(handle_)); }

  void multiply(DataType type, int n, const void* a, const void* b, void* c) override {
    static_cast<void>(stream_->handle());
    const float one = 1;
    const float zero = 0;
    const auto element = cuda_type(type);
    const auto compute =
        type == DataType::float32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    check(call_.gemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, element, n, b, element, n,
                     &zero, c, element, n, compute, CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
  }

 private:
  const Functions& call_ = library().functions;
  std::shared_ptr<device::Stream> stream_;
  cublasHandle_t handle_ = nullptr;
};

}  // namespace

std::unique_ptr<Cublas> open_cublas(std::shared_ptr<device::Stream> stream) {
  if (!library().problem.empty()) return nullptr;
  return std::make_unique<LoadedCublas>(std::move(stream));
}

std::string cublas_problem() {
  return library().problem;
}

std::string cublas_version() {
  if (!library().problem.empty()) return {};
  std::array<int, 3> parts{};
  constexpr std::array which{MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL};
  for (std::size_t i = 0; i < which.size(); ++i) {
    check(library().functions.get_property(which[i], &parts[i]), "cublasGetProperty");
  }
  return fmt::format("{}.{}.{}", parts[0], parts[1], parts[2]);
}

}  // namespace annulus::kernels::gpu
