#include "annulus/device/buffer.hpp"

namespace annulus::device {
namespace {

std::byte* allocate(Stream& stream, std::size_t bytes, Allocation allocation) {
  return allocation == Allocation::exportable ? stream.allocate_exportable(bytes)
                                              : stream.allocate(bytes);
}

}  // namespace

Buffer::Buffer(std::shared_ptr<Stream> stream, std::size_t bytes, Allocation allocation)
    : stream_(std::move(stream)),
      data_(bytes == 0 ? nullptr : allocate(*stream_, bytes, allocation)),
      size_(bytes),
      allocation_(allocation) {}

Buffer::Buffer(const Buffer& other) : Buffer(other.stream_, other.size_, other.allocation_) {
  if (!empty()) stream_->copy(RowCopy::of_bytes(data_, other.data_, size_));
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  if (allocation_ == Allocation::exportable) {
    stream_->free_exportable(data_);
  } else {
    stream_->free(data_);
  }
}

}  // namespace annulus::device
