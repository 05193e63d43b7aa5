#include "kernels/cuda/cuda_launcher.hpp"

#include <algorithm>

#include "kernels/cuda/nvcc/launch.cuh"

namespace annulus::kernels::gpu {
namespace {

/// Calls use.operator()<Part>() with the part of the launcher that has the kernels of a choice.
template <class Use>
void with_part(const KernelChoice& choice, Use use) {
  if (choice.path == KernelPath::hopper) {
    return with_half_type(choice,
                          [&]<class T>() { use.template operator()<HopperLauncherOf<T>>(); });
  }
  with_type(choice, [&]<class T>() { use.template operator()<CudaLauncherOf<T>>(); });
}

class CudaLauncher final : public Launcher {
 public:
  [[nodiscard]] std::shared_ptr<Stream> open_stream(int place_on_node) const override {
    // Where there is no GPU, opening the first one says why.
    const int gpus = std::max(1, static_cast<int>(visible_gpus().size()));
    return device::open_stream(Device::cuda(place_on_node % gpus));
  }

  [[nodiscard]] int blocks_at_once(const KernelChoice& choice, Stream& stream) const override {
    static_cast<void>(stream.handle());  // makes its device current
    int of_multiprocessor = 1;           // those for Hopper have all registers
    if (choice.path == KernelPath::mma) {
      with_type(choice,
                [&]<class T>() { of_multiprocessor = CudaLauncherOf<T>::forward_blocks(choice); });
    }
    return of_multiprocessor * attribute_of_device(cudaDevAttrMultiProcessorCount);
  }

  [[nodiscard]] Multiprocessors multiprocessors(Stream& stream) const override {
    static_cast<void>(stream.handle());  // makes its device current
    return {.block_bytes = attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin),
            .bytes = attribute_of_device(cudaDevAttrMaxSharedMemoryPerMultiprocessor),
            .count = attribute_of_device(cudaDevAttrMultiProcessorCount)};
  }

  void write(const ScaleTableArguments& arguments, Stream& stream) const override {
    dispatch_scale_table(arguments, LaunchOn{stream});
  }

  void write(const QueryNumbersArguments& arguments, Stream& stream) const override {
    dispatch_query_numbers(arguments, LaunchOn{stream});
  }

  void start(const StartArguments& arguments, Stream& stream) const override {
    dispatch_rows<StartKernel>(arguments, LaunchOn{stream});
  }

  void forward(const KernelChoice& choice, const ForwardArguments& arguments,
               Stream& stream) const override {
    with_part(choice, [&]<class Part>() { Part::forward(choice, arguments, stream); });
  }

  void merge(const MergeStatesArguments& arguments, Stream& stream) const override {
    dispatch_rows<MergeStatesKernel>(arguments, LaunchOn{stream});
  }

  void merge(const MergePartsArguments& arguments, Stream& stream) const override {
    dispatch_parts(arguments, LaunchOn{stream});
  }

  void write(const WriteStatesArguments& arguments, Stream& stream) const override {
    dispatch_rows<WriteStatesKernel>(arguments, LaunchOn{stream});
  }

  void finish(const FinishArguments& arguments, Stream& stream) const override {
    dispatch_rows<FinishKernel>(arguments, LaunchOn{stream});
  }

  void add_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                           Stream& stream) const override {
    with_part(choice, [&]<class Part>() { Part::add_query_gradients(choice, arguments, stream); });
  }

  void add_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                         Stream& stream) const override {
    with_part(choice, [&]<class Part>() { Part::add_key_gradients(choice, arguments, stream); });
  }

  void add_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                         Stream& stream) const override {
    with_part(choice, [&]<class Part>() { Part::add_all_gradients(choice, arguments, stream); });
  }

  void fold(const KernelChoice& choice, const FoldStepsArguments& arguments,
            Stream& stream) const override {
    with_part(choice, [&]<class Part>() { Part::fold(choice, arguments, stream); });
  }

  void finish(const KernelChoice& choice, const QueryGradientArguments& arguments,
              Stream& stream) const override {
    with_type(choice, [&]<class T>() { CudaLauncherOf<T>::finish(arguments, stream); });
  }

  void mean(const KernelChoice& choice, const MeanArguments& arguments,
            Stream& stream) const override {
    with_type(choice, [&]<class T>() { CudaLauncherOf<T>::mean(arguments, stream); });
  }

  void add(const AddArguments& arguments, Stream& stream) const override {
    dispatch_numbers<AddKernel>(arguments.count, arguments, LaunchOn{stream});
  }

  void merge(DataType type, const MergePieceArguments& arguments, Stream& stream) const override {
    with_half_type(
        type, [&]<class T>() { dispatch_rows<MergePieceKernel<T>>(arguments, LaunchOn{stream}); });
  }

  void finish(DataType type, const FinishPieceArguments& arguments, Stream& stream) const override {
    with_half_type(
        type, [&]<class T>() { dispatch_rows<FinishPieceKernel<T>>(arguments, LaunchOn{stream}); });
  }

  void add(DataType type, const AddPieceArguments& arguments, Stream& stream) const override {
    with_half_type(type, [&]<class T>() {
      dispatch_numbers<AddPieceKernel<T>>(arguments.count, arguments, LaunchOn{stream});
    });
  }

  void along(DataType type, const AlongArguments& arguments, Stream& stream) const override {
    with_half_type(type,
                   [&]<class T>() { dispatch_rows<AlongKernel<T>>(arguments, LaunchOn{stream}); });
  }

  void transpose(const TransposeArguments& arguments, Stream& stream) const override {
    dispatch_numbers<TransposeKernel>(arguments.rows * arguments.heads, arguments,
                                      LaunchOn{stream});
  }
};

}  // namespace

const Launcher& cuda_launcher() {
  static const CudaLauncher launcher;
  return launcher;
}

}  // namespace annulus::kernels::gpu
