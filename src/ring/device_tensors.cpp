#include "ring/device_tensors.hpp"

#include <utility>

#include "annulus/device/tensor_copy.hpp"

namespace annulus::ring {
namespace {

bool reaches(const device::Stream& stream, ConstTensorView tensor) {
  const bool nothing = tensor.rows == 0 || tensor.heads == 0 || tensor.dim == 0;
  return nothing || stream.reaches(tensor.data);
}

/// Whether it is there, and not where the host reads and writes.
bool is_on_device(const device::Stream& stream, ConstTensorView tensor) {
  const bool nothing = tensor.rows == 0 || tensor.heads == 0 || tensor.dim == 0;
  return stream.device().kind != DeviceKind::cpu && !nothing && tensor.data != nullptr &&
         stream.reaches(tensor.data);
}

/// A dense tensor of the same shape in a new buffer.
TensorView dense_copy_of(ConstTensorView tensor, const std::shared_ptr<device::Stream>& stream,
                         device::Buffer& buffer) {
  const Index elements = tensor.rows * tensor.heads * tensor.dim;
  buffer = device::Buffer(stream, static_cast<std::size_t>(elements) * size_of(tensor.type));
  return {buffer.data(), tensor.type, tensor.rows,
          tensor.heads,  tensor.dim,  tensor.heads * tensor.dim,
          tensor.dim};
}

}  // namespace

DeviceInput::DeviceInput(const std::shared_ptr<device::Stream>& stream, ConstTensorView tensor)
    : view_(tensor) {
  if (reaches(*stream, tensor)) return;
  const auto copy = dense_copy_of(tensor, stream, copy_);
  device::upload(*stream, copy, tensor);
  view_ = copy;
}

DeviceOutput::DeviceOutput(const std::shared_ptr<device::Stream>& stream, TensorView tensor)
    : stream_(stream), caller_(tensor), view_(tensor) {
  if (stream->device().kind == DeviceKind::cpu) return;
  if (!reaches(*stream, tensor) || !is_dense(tensor)) {
    view_ = dense_copy_of(tensor, stream, copy_);
  }
}

void DeviceOutput::finish() const {
  if (copy_.empty()) return;
  if (reaches(*stream_, caller_)) {
    device::copy(*stream_, caller_, view_);
    stream_->synchronize();
  } else {
    device::download(*stream_, caller_, view_);
  }
}

std::vector<DeviceOutput> device_statistics(const std::shared_ptr<device::Stream>& stream,
                                            const StatisticsView& caller) {
  std::vector<DeviceOutput> all;
  for (const auto& view : caller.views) all.emplace_back(stream, view);
  return all;
}

HostInput::HostInput(device::Stream& stream, ConstTensorView tensor) : view_(tensor) {
  if (!is_on_device(stream, tensor)) return;
  copy_ = Tensor(tensor.type, tensor.rows, tensor.heads, tensor.dim);
  device::download(stream, copy_.view(), tensor);
  view_ = std::as_const(copy_).view();
}

HostOutput::HostOutput(const std::shared_ptr<device::Stream>& stream, TensorView tensor)
    : stream_(stream), caller_(tensor), view_(tensor) {
  if (!is_on_device(*stream, tensor)) return;
  copy_ = Tensor(tensor.type, tensor.rows, tensor.heads, tensor.dim);
  view_ = copy_.view();
}

void HostOutput::finish() const {
  if (view_.data == caller_.data) return;
  device::upload(*stream_, caller_, view_);
  stream_->synchronize();
}

}  // namespace annulus::ring
