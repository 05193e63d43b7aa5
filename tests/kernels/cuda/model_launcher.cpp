#include "kernels/cuda/model_launcher.hpp"

#include "kernels/cuda/device/dispatch.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;
using device::Stream;

/// Starts kernels on the model.
auto ModelLauncher::launch(Stream& stream, bool in_order) const {
  return [this, &stream, in_order]<class Kernel>(int blocks_x, int blocks_y,
                                                 const typename Kernel::Arguments& arguments) {
    run(
        {.blocks_x = blocks_x,
         .blocks_y = blocks_y,
         .threads = Kernel::threads,
         .shared_bytes = Kernel::shared_bytes,
         .together = TakesTurns<Kernel>,
         .in_order = in_order},
        [arguments] { Kernel::run(arguments); }, stream);
  };
}

void ModelLauncher::run(const Launch& launch, const std::function<void()>& body,
                        Stream& stream) const {
  const auto run = [this, launch, body] {
    const bool starts = launch.blocks_x > 0 && launch.blocks_y > 0;
    launches_ += starts ? 1 : 0;
    launches_together_ += starts && launch.together ? 1 : 0;
    report_.bank_conflicts += run_blocks(launch, schedule_, body).bank_conflicts;
  };
  if (auto* model = dynamic_cast<ModelStream*>(&stream)) {
    model->enqueue(run);
  } else {
    run();
  }
}

std::shared_ptr<Stream> ModelLauncher::open_stream(int /*place_on_node*/) const {
  return std::make_shared<ModelStream>(device_);
}

void ModelLauncher::write(const gpu::ScaleTableArguments& arguments, Stream& stream) const {
  gpu::dispatch_scale_table(arguments, launch(stream));
}

void ModelLauncher::write(const gpu::QueryNumbersArguments& arguments, Stream& stream) const {
  gpu::dispatch_query_numbers(arguments, launch(stream));
}

void ModelLauncher::start(const gpu::StartArguments& arguments, Stream& stream) const {
  gpu::dispatch_rows<gpu::StartKernel>(arguments, launch(stream));
}

void ModelLauncher::forward(const gpu::KernelChoice& choice, const gpu::ForwardArguments& arguments,
                            Stream& stream) const {
  if (choice.path == gpu::KernelPath::hopper) return hopper_forward(choice, arguments, stream);
  gpu::with_type(choice,
                 [&]<class T>() { gpu::dispatch_forward<T>(choice, arguments, launch(stream)); });
}

void ModelLauncher::merge(const gpu::MergeStatesArguments& arguments, Stream& stream) const {
  gpu::dispatch_rows<gpu::MergeStatesKernel>(arguments, launch(stream));
}

void ModelLauncher::merge(const gpu::MergePartsArguments& arguments, Stream& stream) const {
  gpu::dispatch_parts(arguments, launch(stream));
}

void ModelLauncher::write(const gpu::WriteStatesArguments& arguments, Stream& stream) const {
  gpu::dispatch_rows<gpu::WriteStatesKernel>(arguments, launch(stream));
}

void ModelLauncher::finish(const gpu::FinishArguments& arguments, Stream& stream) const {
  gpu::dispatch_rows<gpu::FinishKernel>(arguments, launch(stream));
}

void ModelLauncher::add_query_gradients(const gpu::KernelChoice& choice,
                                        const gpu::GradientArguments& arguments,
                                        Stream& stream) const {
  if (choice.path == gpu::KernelPath::hopper) {
    return add_hopper_query_gradients(choice, arguments, stream);
  }
  gpu::with_type(choice, [&]<class T>() {
    gpu::dispatch_query_gradients<T>(choice, arguments, launch(stream));
  });
}

void ModelLauncher::add_key_gradients(const gpu::KernelChoice& choice,
                                      const gpu::GradientArguments& arguments,
                                      Stream& stream) const {
  if (choice.path == gpu::KernelPath::hopper) {
    return add_hopper_key_gradients(choice, arguments, stream);
  }
  gpu::with_type(choice, [&]<class T>() {
    gpu::dispatch_key_gradients<T>(choice, arguments, launch(stream));
  });
}

void ModelLauncher::add_all_gradients(const gpu::KernelChoice& choice,
                                      const gpu::GradientArguments& arguments,
                                      Stream& stream) const {
  if (choice.path == gpu::KernelPath::hopper) {
    return add_hopper_all_gradients(choice, arguments, stream);
  }
  gpu::with_half_type(choice, [&]<class T>() {
    gpu::dispatch_all_gradients<T>(choice, arguments, launch(stream, choice.in_order));
  });
}

void ModelLauncher::fold(const gpu::KernelChoice& choice, const gpu::FoldStepsArguments& arguments,
                         Stream& stream) const {
  ++folds_;
  if (choice.path == gpu::KernelPath::hopper) return hopper_fold(choice, arguments, stream);
  gpu::with_half_type(choice,
                      [&]<class T>() { gpu::dispatch_fold<T>(choice, arguments, launch(stream)); });
}

void ModelLauncher::finish(const gpu::KernelChoice& choice,
                           const gpu::QueryGradientArguments& arguments, Stream& stream) const {
  gpu::with_type(choice, [&]<class T>() {
    gpu::dispatch_rows<gpu::FinishQueryGradientsKernel<T>>(arguments, launch(stream));
  });
}

void ModelLauncher::mean(const gpu::KernelChoice& choice, const gpu::MeanArguments& arguments,
                         Stream& stream) const {
  gpu::with_type(choice, [&]<class T>() {
    gpu::dispatch_rows<gpu::MeanKernel<T>>(arguments, launch(stream));
  });
}

void ModelLauncher::add(const gpu::AddArguments& arguments, Stream& stream) const {
  gpu::dispatch_numbers<gpu::AddKernel>(arguments.count, arguments, launch(stream));
}

void ModelLauncher::merge(DataType type, const gpu::MergePieceArguments& arguments,
                          Stream& stream) const {
  gpu::with_half_type(type, [&]<class T>() {
    gpu::dispatch_rows<gpu::MergePieceKernel<T>>(arguments, launch(stream));
  });
}

void ModelLauncher::finish(DataType type, const gpu::FinishPieceArguments& arguments,
                           Stream& stream) const {
  gpu::with_half_type(type, [&]<class T>() {
    gpu::dispatch_rows<gpu::FinishPieceKernel<T>>(arguments, launch(stream));
  });
}

void ModelLauncher::add(DataType type, const gpu::AddPieceArguments& arguments,
                        Stream& stream) const {
  gpu::with_half_type(type, [&]<class T>() {
    gpu::dispatch_numbers<gpu::AddPieceKernel<T>>(arguments.count, arguments, launch(stream));
  });
}

void ModelLauncher::along(DataType type, const gpu::AlongArguments& arguments,
                          Stream& stream) const {
  gpu::with_half_type(
      type, [&]<class T>() { gpu::dispatch_rows<gpu::AlongKernel<T>>(arguments, launch(stream)); });
}

void ModelLauncher::transpose(const gpu::TransposeArguments& arguments, Stream& stream) const {
  gpu::dispatch_numbers<gpu::TransposeKernel>(arguments.rows * arguments.heads, arguments,
                                              launch(stream));
}

}  // namespace annulus::test
