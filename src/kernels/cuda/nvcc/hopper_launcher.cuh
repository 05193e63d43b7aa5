#pragma once
// The kernels for compute capability 9.0 of one element type; included by one file for each. They
// are compiled for sm_90a, whatever else is.

#include <cudaTypedefs.h>

#include <array>
#include <string>

#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cuda/device/hopper/hopper_dispatch.hpp"
#include "kernels/cuda/nvcc/launch.cuh"

namespace annulus::kernels::gpu {

/// A function of the driver, which the runtime has loaded: there is no library to link.
[[nodiscard]] inline auto tensor_map_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  const auto code = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                     cudaEnableDefault, &found);
#else
  const auto code =
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found);
#endif
  check_cuda(code, "the entry point of cuTensorMapEncodeTiled");
  if (found != cudaDriverEntryPointSuccess || function == nullptr) {
    throw InputError("ANNULUS_CUDA=hopper: this driver cannot encode tensor maps (CUDA 12 can)");
  }
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

[[nodiscard]] inline TensorMap encode_tensor_map(const TileMap& tile) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) &&
                alignof(TensorMap) >= alignof(CUtensorMap));
  static const auto encode = tensor_map_encoder();
  const auto type = tile.type == DataType::bfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                    : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  const std::array<cuuint64_t, 3> extents{static_cast<cuuint64_t>(tile.dim),
                                          static_cast<cuuint64_t>(tile.heads),
                                          static_cast<cuuint64_t>(tile.rows)};
  const std::array<cuuint64_t, 2> strides{static_cast<cuuint64_t>(tile.head_stride_bytes),
                                          static_cast<cuuint64_t>(tile.row_stride_bytes)};
  const std::array<cuuint32_t, 3> box{slab_columns, static_cast<cuuint32_t>(tile.box_heads),
                                      static_cast<cuuint32_t>(tile.box_rows)};
  const std::array<cuuint32_t, 3> steps{1, 1, 1};
  TensorMap map;
  const auto result =
      encode(reinterpret_cast<CUtensorMap*>(&map), type, 3, const_cast<void*>(tile.data),
             extents.data(), strides.data(), box.data(), steps.data(),
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error("cuTensorMapEncodeTiled refuses a map of tiles with code " +
                std::to_string(static_cast<int>(result)));
  }
  return map;
}

/// Makes the device of a stream current. Throws InputError on anything but compute capability 9.0.
inline void enter_hopper(Stream& stream) {
  static_cast<void>(stream.handle());
  const int major = attribute_of_device(cudaDevAttrComputeCapabilityMajor);
  const int minor = attribute_of_device(cudaDevAttrComputeCapabilityMinor);
  if (major != 9 || minor != 0) {
    throw InputError("ANNULUS_CUDA=hopper: this GPU has compute capability " +
                     std::to_string(major) + "." + std::to_string(minor) +
                     ", the kernels for Hopper run on 9.0 alone; mma runs here");
  }
}

template <class T>
void HopperLauncherOf<T>::forward(const KernelChoice& choice, const ForwardArguments& arguments,
                                  Stream& stream) {
  enter_hopper(stream);
  dispatch_hopper_forward<T>(choice, arguments, attribute_of_device(cudaDevAttrMultiProcessorCount),
                             encode_tensor_map, LaunchOn{stream});
}

template <class T>
void HopperLauncherOf<T>::add_query_gradients(const KernelChoice& choice,
                                              const GradientArguments& arguments, Stream& stream) {
  enter_hopper(stream);
  dispatch_hopper_query_gradients<T>(choice, arguments,
                                     attribute_of_device(cudaDevAttrMultiProcessorCount),
                                     encode_tensor_map, LaunchOn{stream});
}

template <class T>
void HopperLauncherOf<T>::add_key_gradients(const KernelChoice& choice,
                                            const GradientArguments& arguments, Stream& stream) {
  enter_hopper(stream);
  dispatch_hopper_key_gradients<T>(choice, arguments,
                                   attribute_of_device(cudaDevAttrMultiProcessorCount),
                                   encode_tensor_map, LaunchOn{stream});
}

template <class T>
void HopperLauncherOf<T>::add_all_gradients(const KernelChoice& choice,
                                            const GradientArguments& arguments, Stream& stream) {
  enter_hopper(stream);
  dispatch_hopper_all_gradients<T>(choice, arguments,
                                   attribute_of_device(cudaDevAttrMultiProcessorCount),
                                   encode_tensor_map, LaunchOn{stream});
}

template <class T>
void HopperLauncherOf<T>::fold(const KernelChoice& choice, const FoldStepsArguments& arguments,
                               Stream& stream) {
  enter_hopper(stream);
  dispatch_hopper_fold(choice, arguments, LaunchOn{stream});
}

}  // namespace annulus::kernels::gpu
